"""The program `haste-agent`: on the microscope's computer, sends a folder's images to the lab's server."""
