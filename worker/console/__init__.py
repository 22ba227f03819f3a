"""The console: web pages for support and operations. `README.md` says how to add a page."""
