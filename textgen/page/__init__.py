"""A text and its neurons as one self-contained HTML page. Takes plain data; knows no models.

page      the data of a page, and its values in 8 bits
colors    the colours of a heat map on a light and on a dark page
render    data -> the page

What the browser gets lies beside them: `page.html`, `page.css` and the scripts in `SCRIPTS`.
"""
