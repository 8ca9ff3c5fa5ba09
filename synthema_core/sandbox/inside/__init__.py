"""What runs on the far side: the template, and the child of each evaluation. Imports nothing else of ours."""
