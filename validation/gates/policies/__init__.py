"""The policy files that ship with Plumbline. The folder is a package, so that an installation contains the files."""
