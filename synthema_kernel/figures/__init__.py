"""Pictures of results as SVG, written by hand: no plotting library, no script, nothing fetched."""
