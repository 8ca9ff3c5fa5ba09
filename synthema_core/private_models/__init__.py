"""Models of diffprivlib under our terms: bounds from a Schema, no seed, an accountant of their own.

The same code fits them at a site, on its patients' rows, and in a notebook, on mock data. diffprivlib is loaded when
the first model is fitted: importing this package does not need it.

*Why their epsilon is no guarantee.* diffprivlib 0.6.6 draws real-valued noise in floating point, whose low bits tell
of what was added to; it assumes that the number of patients is public; minima are found by an optimiser that stops
early; and its accountant counts only what its caller lets it count. Where its formulae do not hold as they are called
by default, `fitting` calls them so that they do: that removes what we know of, and is no proof of the rest.
"""
