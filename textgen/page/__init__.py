"""A text and its neurons as one self-contained HTML page. Takes plain data; knows no models.

What the browser gets lies beside the modules: `page.html`, `page.css` and the scripts.
"""
