"""A text and its neurons as one self-contained HTML page. Takes plain data; knows no models.

The files for the browser lie next to the module: `page.html`, `page.css` and the scripts.
"""
