"""What deploy/kubernetes and deploy/compose.yaml say, for tests that read them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cryptography.fernet import Fernet

from deploy.kubernetes import render
from models.settings.settings import Settings
from tests.support.sources import ROOT

OVERLAYS = ("small", "large", "proxied")
KUBERNETES = ROOT / "deploy/kubernetes"
COMPOSE = ROOT / "deploy/compose.yaml"
COMPONENT = "app.kubernetes.io/component"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One overlay as it is rendered and kept."""

    overlay: str
    documents: tuple[Document, ...]

    def of_kind(self, kind: str) -> Iterator[Document]:
        """Yield the documents of a kind."""
        return (document for document in self.documents if document["kind"] == kind)

    def one(self, kind: str, name: str) -> Document:
        """Return the document of this kind and name."""
        (document,) = (
            candidate for candidate in self.of_kind(kind) if candidate["metadata"]["name"] == name
        )
        return document

    def deployments(self) -> dict[str, Document]:
        """Return the Deployments by name."""
        return {document["metadata"]["name"]: document for document in self.of_kind("Deployment")}

    def pods(self) -> dict[str, Document]:
        """Return the specifications of all pods, by the component they are."""
        owners = [*self.of_kind("Deployment"), *self.of_kind("Job")]
        templates = [owner["spec"]["template"] for owner in owners]
        return {
            template["metadata"]["labels"][COMPONENT]: template["spec"] for template in templates
        }

    def settings(self) -> Settings:
        """Build the settings as the processes will: from the ConfigMap and the example Secret."""
        (config,) = self.of_kind("ConfigMap")
        # The example holds no key, or it might be used.
        key = {"SLIPWAY_SECRET_KEY": Fernet.generate_key().decode()}
        given = config["data"] | example_secrets()["slipway"] | key
        fields = {name.removeprefix("SLIPWAY_").lower(): value for name, value in given.items()}
        return Settings.model_validate(fields)

    def replicas_max(self) -> dict[str, int]:
        """Return how many pods of each component there may be."""
        fixed = {
            name: document["spec"].get("replicas", 1)
            for name, document in self.deployments().items()
        }
        scaled = {
            document["spec"]["scaleTargetRef"]["name"]: document["spec"]["maxReplicaCount"]
            for document in self.of_kind("ScaledObject")
        }
        by_load = {
            document["spec"]["scaleTargetRef"]["name"]: document["spec"]["maxReplicas"]
            for document in self.of_kind("HorizontalPodAutoscaler")
        }
        return fixed | scaled | by_load


def container(pod: Document) -> Document:
    """Return the one container of a pod."""
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


@cache
def cluster(overlay: str) -> Cluster:
    """Read one overlay from the file that keeps it."""
    text = (KUBERNETES / f"rendered/{overlay}.yaml").read_text(encoding="utf-8")
    return Cluster(overlay, tuple(yaml.safe_load_all(text)))


def with_components(
    *names: str, folder: Path, resources: Mapping[str, str] | None = None, **more: object
) -> Cluster:
    """Render an overlay of an operator's own on top of the small one.

    *resources*: by the name of their file; *more*: other keys of its kustomization.
    """
    ours = os.path.relpath(KUBERNETES, folder)
    files = resources or {}
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "slipway",
        "resources": [f"{ours}/overlays/small", *files],
        "components": [f"{ours}/components/{name}" for name in names],
        **more,
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    return Cluster("small", tuple(yaml.safe_load_all(render.rendered(str(folder)))))


@cache
def example_secrets() -> dict[str, dict[str, str]]:
    """Return what deploy/kubernetes/secrets.example.yaml puts into each Secret."""
    text = (KUBERNETES / "secrets.example.yaml").read_text(encoding="utf-8")
    return {
        document["metadata"]["name"]: document["stringData"]
        for document in yaml.safe_load_all(text)
    }


@cache
def compose() -> Document:
    """Return deploy/compose.yaml, merged, with its variables as they are written."""
    document = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def postgres_settings() -> dict[str, str]:
    """Return the settings that compose starts PostgreSQL with."""
    program, *settings = compose()["services"]["postgres"]["command"]
    assert program == "postgres"
    return dict(setting.removeprefix("--").split("=") for setting in settings)
