"""deploy/: what the examples say is what Headgate takes, started as they would start it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from lib import manifests, processes
from lib.headgate import PROGRAM, REPOSITORY
from lib.processes import wait_until
from lib.web import Web
from lib.wire import Wire

pytestmark = pytest.mark.headgate_only

FILES = ["tier.yaml", "sidecar.yaml"]
UID = 10001  # of the image


@pytest.fixture(params=FILES)
def documents(request):
    return manifests.documents(request.param)


@pytest.fixture
def compose():
    with open(manifests.COMPOSE, encoding="utf-8") as file:
        return yaml.safe_load(file)


def test_every_manifest_is_looked_at():
    assert sorted(os.listdir(manifests.KUBERNETES)) == sorted(FILES)


def test_kubernetes_would_take_it(documents):
    for document in documents:
        kind = document["kind"]
        assert document["apiVersion"] == manifests.API[kind]
        assert manifests.differences(document, {**manifests.HEAD, **manifests.KINDS[kind]}, kind) == []
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", document["metadata"]["name"])
        for values in (document.get("data"), document.get("stringData")):
            assert all(isinstance(value, str) for value in (values or {}).values()), "a number needs quotes"


def test_a_slip_of_the_pen_is_seen():
    (deployment,) = [one for one in manifests.documents("tier.yaml") if one["kind"] == "Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["livenesProbe"] = container.pop("livenessProbe")
    container["ports"][0]["containerPort"] = "6432"
    shape = {**manifests.HEAD, **manifests.KINDS["Deployment"]}
    assert len(manifests.differences(deployment, shape)) == 2


def test_names_labels_and_ports_agree(documents):
    deployment = manifests.one(documents, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    pod = manifests.pod_of(documents)
    pooler = manifests.pooler_of(pod)
    environment = manifests.environment_of(documents)
    ports = {port["name"]: port["containerPort"] for port in pooler["ports"]}
    assert str(ports["http"]) == environment["HEADGATE_HTTP_PORT"]
    assert str(ports.get("postgres", 6432)) == environment["HEADGATE_LISTEN_PORT"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in pooler:
            assert pooler[probe]["httpGet"]["port"] == "http"
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"]}
    secrets = {document["metadata"]["name"]: document["stringData"] for document in documents if document["kind"] == "Secret"}
    (mount,) = pooler["volumeMounts"]
    for name, value in environment.items():
        if name.endswith("_FILE"):
            folder, key = os.path.split(value)
            assert folder == mount["mountPath"] and key in secrets[volumes[mount["name"]]]
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "Service":
            assert spec["selector"] == labels
            assert {port["targetPort"] for port in spec["ports"]} <= set(ports)
        if document["kind"] in ("PodDisruptionBudget", "ServiceMonitor"):
            assert spec["selector"]["matchLabels"] == labels
        if document["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
            assert spec["minReplicas"] <= deployment["spec"]["replicas"] <= spec["maxReplicas"]
            assert "cpu" in pooler["resources"]["requests"]
        if document["kind"] == "ServiceMonitor":
            (endpoint,) = spec["endpoints"]
            assert endpoint["port"] in {port["name"] for port in manifests.one(documents, "Service")["spec"]["ports"]}
            for secret in endpoint["basicAuth"].values():
                assert secret["key"] in secrets[secret["name"]]


def test_it_runs_with_no_more_rights_than_it_needs(documents):
    pod = manifests.pod_of(documents)
    pooler = manifests.pooler_of(pod)
    rights = {**pod["securityContext"], **pooler["securityContext"]}
    assert rights["runAsNonRoot"] and rights["runAsUser"] == rights["runAsGroup"] == rights["fsGroup"] == UID
    assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    with open(f"{REPOSITORY}/Dockerfile", encoding="utf-8") as file:
        assert f"USER {UID}\n" in file.read()


@contextlib.contextmanager
def secret_files(environment, secrets):
    """The environment with its _FILEs where the test can put them, readable for the group alone."""
    directory = processes.make_directory("secrets")
    os.chmod(directory, 0o755)
    changed = dict(environment)
    for name, path in environment.items():
        if name.endswith("_FILE"):
            changed[name] = os.path.join(directory, os.path.basename(path))
            with open(changed[name], "w", encoding="utf-8") as file:
                file.write(secrets[os.path.basename(path)])
            if os.geteuid() == 0:
                os.chown(changed[name], 0, UID)
                os.chmod(changed[name], 0o440)
    try:
        yield changed
    finally:
        shutil.rmtree(directory)


def check(environment):
    ran = subprocess.run([PROGRAM, "--check"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def test_headgate_takes_the_environment(documents):
    with secret_files(manifests.environment_of(documents), manifests.secrets_of(documents)) as environment:
        status, said = check(environment)
        assert status == 0 and "error" not in said.lower(), said
        assert check({**environment, "HEADGATE_POOL_MOD": "x"})[0] == 1  # a slip would be seen


def seconds(text):
    (number,) = re.fullmatch(r"(\d+)s?", text).groups()
    return int(number)


def test_draining_fits_into_the_grace_period(documents, compose):
    pod = manifests.pod_of(documents)
    before = manifests.pooler_of(pod).get("lifecycle", {}).get("preStop", {"exec": {"command": ["/bin/sleep", "0"]}})
    takes = seconds(before["exec"]["command"][-1]) + seconds(manifests.environment_of(documents)["HEADGATE_DRAIN_TIMEOUT"])
    assert takes + 5 <= pod["terminationGracePeriodSeconds"]
    pooler = compose["services"]["headgate"]
    assert seconds(pooler["environment"]["HEADGATE_DRAIN_TIMEOUT"]) + 5 <= seconds(pooler["stop_grace_period"])


def test_compose_agrees_with_itself(compose):
    pooler, app, postgres = (compose["services"][name] for name in ("headgate", "app", "postgres"))
    environment = pooler["environment"]
    assert os.path.samefile(os.path.join(os.path.dirname(manifests.COMPOSE), pooler["build"]), REPOSITORY)
    assert environment["DATABASES_HOST"] in compose["services"] and app["environment"]["PGHOST"] in compose["services"]
    assert environment["DATABASES_USER"] == postgres["environment"]["POSTGRES_USER"] == app["environment"]["PGUSER"]
    assert environment["DATABASES_DBNAME"] == postgres["environment"]["POSTGRES_DB"] == app["environment"]["PGDATABASE"]
    published = {port.split(":")[-1] for port in pooler["ports"]}
    assert published == {app["environment"]["PGPORT"], environment["HEADGATE_HTTP_PORT"]} == {"6432", "9127"}
    assert all(isinstance(value, str) for service in compose["services"].values() for value in service["environment"].values())
    for service in compose["services"].values():
        assert set(service) <= {"image", "build", "environment", "secrets", "volumes", "healthcheck", "ports", "read_only",
                                "cap_drop", "security_opt", "stop_grace_period", "depends_on", "command"}  # fmt: skip
        assert set(service["secrets"]) <= set(compose["secrets"]) and set(service.get("depends_on", {})) <= set(compose["services"])
    secret = os.path.join(os.path.dirname(manifests.COMPOSE), compose["secrets"]["password"]["file"])
    with open(secret, encoding="utf-8") as file, secret_files(environment, {"password": file.read()}) as changed:
        status, said = check(changed)
        assert status == 0 and "error" not in said.lower(), said


def test_the_image_has_the_libraries_that_the_program_loads():
    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    of_debian_slim = {"libc6", "libgcc-s1", "libstdc++6"}
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", PROGRAM))
    paths = dict(re.findall(r"(\S+) => (/\S+)", run("ldd", PROGRAM)))
    assert "libssl.so.3" in needed
    for library in needed:
        folder, name = os.path.realpath(paths[library]).split("/")[-2:]
        owner = run("dpkg", "-S", f"*/{folder}/{name}").split(":")[0]
        assert owner in runtime_packages() | of_debian_slim, f"{library} is of {owner}"


def runtime_packages():
    with open(f"{REPOSITORY}/packages.txt", encoding="utf-8") as file:
        group = file.read().split("# [runtime]")[1].split("# [")[0]
    return {line for line in group.splitlines()[1:] if line}


# Becomes the program as the image's user, with a root that cannot be written to, and no rights.
READ_ONLY = (
    'mount --make-rprivate / && mount -o remount,bind,ro / && for d in /tmp /var/tmp; do mountpoint -q $d && '
    'mount -o remount,bind,ro $d; done; '
    f'exec setpriv --reuid={UID} --regid={UID} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$0" "$@"'
)


@pytest.fixture
def locked_up():
    """The command that starts a program so."""
    command = ["unshare", "-m", "bash", "-c", READ_ONLY]
    if os.geteuid() != 0 or subprocess.run([*command, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace")
    assert subprocess.run([*command, "touch", "/tmp/headgate-must-not-be"], check=False, capture_output=True).returncode != 0
    return command


def test_it_runs_as_it_would_there(documents, locked_up, postgres):
    pooler = manifests.pooler_of(manifests.pod_of(documents))
    port, http_port = processes.free_port(), processes.free_port()
    told = {**manifests.environment_of(documents), "DATABASES_HOST": "127.0.0.1", "DATABASES_PORT": str(postgres.port),
            "HEADGATE_LISTEN_PORT": str(port), "HEADGATE_HTTP_PORT": str(http_port)}  # fmt: skip
    secrets = {**manifests.secrets_of(documents), "user": "scram_user", "password": "scram secret"}
    with secret_files({**told, "DATABASES_DBNAME": "single"}, secrets) as environment:
        process = subprocess.Popen([*locked_up, PROGRAM], env={"PATH": os.environ["PATH"], **environment},
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
        try:
            web = Web(http_port)

            def answers(path):
                with contextlib.suppress(OSError):
                    return web.status(path) == 200
                assert process.poll() is None, process.stderr.read()
                return False

            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = pooler.get(probe, {"httpGet": {"path": "/readyz"}})["httpGet"]["path"]
                wait_until(lambda path=path: answers(path), what=f"{path} answers")
            with Wire(port) as client:
                client.login("scram_user", "single", "scram secret")
                assert client.value("SELECT current_user") == "scram_user"
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                status = dict(line.split(":", 1) for line in file.read().splitlines())
            assert set(status["Uid"].split()) == {str(UID)} and int(status["CapEff"], 16) == 0
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        assert process.returncode == 0, process.stderr.read()


def test_the_page_names_what_there_is():
    with open(f"{REPOSITORY}/docs/kubernetes.md", encoding="utf-8") as file:
        text = file.read()
    for name in FILES:
        assert f"deploy/kubernetes/{name}" in text
    for path in re.findall(r"\.\./(deploy/[\w./]+)", text):
        assert os.path.exists(f"{REPOSITORY}/{path}"), path
