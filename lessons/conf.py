"""The book's settings for Sphinx. `ladi-mini course book` stages the pages and reads this file from there."""

project = "ladi_mini"
author = "the ladi_mini authors"
copyright = "the ladi_mini authors. Texts and figures: CC BY 4.0, code: Apache 2.0"
language = "en"

extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "sphinx.ext.mathjax",
    "ladi_mini.course.book",  # alt texts
]
exclude_patterns = ["jupyter_execute", ".jupyter_cache"]

# The outputs are in the notebooks; a page loads nothing from elsewhere.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
mathjax_path = "mathjax.js"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "tasklist"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
copybutton_selector = "div.cell_input pre, div.highlight-python pre, div.highlight-default pre"

html_theme = "sphinx_book_theme"
html_title = "ladi_mini"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search is in the sidebar
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
