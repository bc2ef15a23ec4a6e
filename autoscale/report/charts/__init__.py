"""Charts as values that draw themselves as SVG text: a plot, named rows, the triangle of growth."""
