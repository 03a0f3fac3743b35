"""MkDocs hook: adds the generated pages to the site while it is built."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.generate.pages import PAGES
from orchestration.environment import apply_quiet_environment


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages; MkDocs calls this after it has found the pages in docs/."""
    apply_quiet_environment()
    for name, make in PAGES.items():
        files.append(File.generated(config, f"{name}.md", content=make()))
    return files
