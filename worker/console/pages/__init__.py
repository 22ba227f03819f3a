"""The pages, one module each, with its `routes`. Add yours to `ROUTES`."""

from typing import Final

from fastapi import APIRouter

from worker.console.pages import home, theme

ROUTES: Final[tuple[APIRouter, ...]] = (
    home.routes,
    theme.routes,
)
"""Behind the sign-in, every one."""
