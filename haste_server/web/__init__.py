"""The pages that people look at. They ask the same services as the API."""
