"""Everything that Celery runs or calls: the application, its settings, bootsteps and tasks."""
