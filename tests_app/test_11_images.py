"""Step `images` (runbook L238-372, L412-470): docs/steps/images.md."""

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("images")
DATABASE = "stat -c '%U %a' /docker-entrypoint-initdb.d/database_script.sql"
WEB = "stat -c %U /var/www/html && php -m | grep -x mysqli"
DIGESTS = "docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' %s"
# The image's own word on whether its programs start on this processor: nothing else of it runs.
STARTS = "docker run --rm --pull never --network none --entrypoint /bin/sh %s -c %s"


def test_images(verify: Verify) -> None:
    verify()


def test_images_witness(node: Host, node_name: str, cluster: Cluster) -> None:
    """A shell of the image itself starts there, and sees what the runbook has put into it."""
    images = {
        "web": (cluster.web_image, WEB, "www-data\nmysqli"),
        "sql": (cluster.database_image, DATABASE, "mysql 755"),
    }
    label = cluster.label_of(node_name)
    if label not in images:
        return
    image, look, want = images[label]
    with node.sudo():
        assert node.check_output(STARTS, image, look) == want
        assert f"{image.partition(':')[0]}@sha256:" in node.check_output(DIGESTS, image)
