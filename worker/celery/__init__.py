"""What Celery runs or calls: the application, its settings, bootsteps, tasks, receivers."""
