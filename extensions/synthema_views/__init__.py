"""The views as built JavaScript, for every place that shows them."""
