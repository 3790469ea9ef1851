"""Packages of HASTE server; everything else is declared in pyproject.toml.

The commented YAML files of ``config/`` are installed as the package ``haste_config``, so that an
installed server finds its pipelines. pyproject.toml cannot rename one package and find the others.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["haste_*"]), "haste_config"],
    package_dir={"haste_config": "config"},
    # Folders that are no packages, too: of pipelines, of the report's template, of the database's versions.
    package_data={
        "": ["py.typed", "**/*.yaml", "**/*.html"],
        "haste_server.web": ["static/*"],
        "haste_server.store": ["migrations/*", "migrations/versions/*.py"],
    },
)
