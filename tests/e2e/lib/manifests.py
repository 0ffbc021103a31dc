"""The example manifests of deploy/: what they say, and whether Kubernetes and Compose would take it."""

import os

import yaml

from lib.headgate import REPOSITORY

KUBERNETES = os.path.join(REPOSITORY, "deploy/kubernetes")
COMPOSE = os.path.join(REPOSITORY, "deploy/compose/compose.yaml")

API = {
    "ConfigMap": "v1", "Secret": "v1", "Service": "v1", "Deployment": "apps/v1", "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2", "ServiceMonitor": "monitoring.coreos.com/v1",
}  # fmt: skip

ANY = object()  # names of the user's own, or values
SECURITY = {"runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int}
SELECTOR = {"matchLabels": ANY}
PROBE = {"httpGet": {"path": str, "port": ANY}, "periodSeconds": int, "timeoutSeconds": int, "failureThreshold": int}
CONTAINER = {
    "name": str, "image": str, "restartPolicy": str, "resources": {"requests": ANY, "limits": ANY},
    "envFrom": [{"configMapRef": {"name": str}}],
    "env": [{"name": str, "value": str, "valueFrom": {"secretKeyRef": {"name": str, "key": str}}}],
    "ports": [{"name": str, "containerPort": int}],
    "startupProbe": PROBE, "livenessProbe": PROBE, "readinessProbe": PROBE,
    "lifecycle": {"preStop": {"exec": {"command": [str]}}},
    "securityContext": {**SECURITY, "allowPrivilegeEscalation": bool, "readOnlyRootFilesystem": bool,
                        "capabilities": {"drop": [str]}},
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}  # fmt: skip
POD = {
    "automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int,
    "securityContext": {**SECURITY, "fsGroup": int, "seccompProfile": {"type": str}},
    "topologySpreadConstraints": [{"maxSkew": int, "topologyKey": str, "whenUnsatisfiable": str, "labelSelector": SELECTOR}],
    "initContainers": [CONTAINER], "containers": [CONTAINER],
    "volumes": [{"name": str, "secret": {"secretName": str, "defaultMode": int}}],
}  # fmt: skip
HEAD = {"apiVersion": str, "kind": str, "metadata": {"name": str, "labels": ANY}}
KEY = {"name": str, "key": str}
# Every key that the examples use, with what it may be: what is not here is a slip of the pen.
KINDS = {
    "ConfigMap": {"data": ANY},
    "Secret": {"type": str, "stringData": ANY},
    "Deployment": {"spec": {
        "replicas": int, "selector": SELECTOR,
        "strategy": {"type": str, "rollingUpdate": {"maxUnavailable": int, "maxSurge": int}},
        "template": {"metadata": {"labels": ANY}, "spec": POD}}},
    "Service": {"spec": {"selector": ANY, "ports": [{"name": str, "port": int, "targetPort": str}]}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": int, "selector": SELECTOR}},
    "HorizontalPodAutoscaler": {"spec": {
        "scaleTargetRef": {"apiVersion": str, "kind": str, "name": str}, "minReplicas": int, "maxReplicas": int,
        "metrics": [{"type": str, "resource": {"name": str, "target": {"type": str, "averageUtilization": int}}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": int}}}},
    "ServiceMonitor": {"spec": {"selector": SELECTOR, "endpoints": [
        {"port": str, "path": str, "interval": str, "basicAuth": {"username": KEY, "password": KEY}}]}},
}  # fmt: skip


def differences(value, shape, where=""):
    """What is not of this shape, each as a line."""
    if shape is ANY:
        return []
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where}: no map"]
        unknown = [f"{where}.{key}: unknown" for key in value if key not in shape]
        return unknown + [line for key in value if key in shape
                          for line in differences(value[key], shape[key], f"{where}.{key}")]  # fmt: skip
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [f"{where}: no list, or an empty one"]
        return [line for i, item in enumerate(value) for line in differences(item, shape[0], f"{where}[{i}]")]
    return [] if type(value) is shape else [f"{where}: {value!r} is no {shape.__name__}"]


def documents(name):
    with open(os.path.join(KUBERNETES, name), encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def one(all_documents, kind):
    (found,) = [document for document in all_documents if document["kind"] == kind]
    return found


def pod_of(all_documents):
    return one(all_documents, "Deployment")["spec"]["template"]["spec"]


def pooler_of(pod):
    (found,) = [part for part in pod["containers"] + pod.get("initContainers", []) if part["name"] == "headgate"]
    return found


def secrets_of(all_documents):
    return {name: value for document in all_documents if document["kind"] == "Secret"
            for name, value in document["stringData"].items()}  # fmt: skip


def environment_of(all_documents):
    """What the pooler's process would see."""
    pooler = pooler_of(pod_of(all_documents))
    environment = {}
    for source in pooler.get("envFrom", []):
        (config,) = [document for document in all_documents
                     if document["kind"] == "ConfigMap" and document["metadata"]["name"] == source["configMapRef"]["name"]]
        environment.update(config["data"])
    environment.update({entry["name"]: entry["value"] for entry in pooler["env"]})
    return environment
