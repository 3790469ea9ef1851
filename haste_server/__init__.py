"""The images-to-decisions daemon: stores jobs, hands tasks out in rank order, applies results."""
