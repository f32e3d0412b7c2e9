# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers as people run them, from Debian's own packages: they answer, and their volumes outlive them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine.archives import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl

WAIT = "for i in $(seq 300); do {} && exit 0; sleep 0.2; done; exit 1"
GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
FETCH = f"python3 -c '{GET}' {{}} 2> /dev/null"
COUNTER = """
import http.server, sqlite3
class Counter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with sqlite3.connect("/data/visits.db") as visits:
            visits.execute("CREATE TABLE IF NOT EXISTS visit (path TEXT)")
            visits.execute("INSERT INTO visit VALUES (?)", (self.path,))
            (count,) = visits.execute("SELECT count(*) FROM visit").fetchone()
        self.send_response(200); self.end_headers(); self.wfile.write(b"visit %d" % count)
http.server.ThreadingHTTPServer(("", 8000), Counter).serve_forever()
"""
PYTHON = f"""
FROM debian-python3
RUN useradd --system app && mkdir /data && chown app: /data
COPY <<'END' /app.py
{COUNTER}
END
USER app
VOLUME /data
EXPOSE 8000
CMD ["python3", "/app.py"]
"""
NGINX = """
FROM debian-nginx
RUN ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log
VOLUME /var/www/html
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
"""
# As docker's own does: root gives the volume away, then is root no more.
POSTGRESQL = """
FROM debian-postgresql
ENV PGDATA=/var/lib/postgresql/data LC_ALL=C.UTF-8
COPY --chmod=755 <<'END' /usr/local/bin/entrypoint
#!/bin/bash
set -e
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
if [ "$(id -u)" = 0 ]; then
    mkdir -p $PGDATA; chown -R postgres: $PGDATA; chmod 700 $PGDATA
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
[ -e $PGDATA/PG_VERSION ] || initdb --auth-host=trust > /dev/null
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp -c hba_file=/etc/pg_hba.conf
END
COPY <<'END' /etc/pg_hba.conf
host all all all trust
local all all trust
END
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
"""


@pytest.fixture
def built(images: Mctl, request: pytest.FixtureRequest) -> Iterator[Callable[[str, str], Mctl]]:
    """Makes an image called like the package, on one of Debian with it."""
    distro = request.config.getoption("--distro")

    def make(package: str, containerfile: str) -> Mctl:
        path = archive(distro, [package])
        images.machine.push(path, "/srv/debian.tar")
        images("import", "-q", "/srv/debian.tar", f"debian-{package}", timeout=300)
        images("build", "-q", "-t", package, "-", stdin=containerfile.encode(), timeout=300)
        return images

    yield make
    images.shell("rm -f /srv/debian.tar; mctl ps -aq | xargs -r mctl rm -f > /dev/null; mctl volume prune -a")


def fetched(mctl: Mctl, url: str) -> str:
    return mctl.shell(WAIT.format(FETCH.format(url)), timeout=120).text.strip()


@pytest.mark.siege
def test_python_counts_on(built: Callable[[str, str], Mctl]) -> None:
    mctl = built("python3", PYTHON)
    for before in (0, 2):
        mctl("run", "-d", "--name", "app", "-p", "127.0.0.1:8000:8000", "-v", "visits:/data", "--read-only", "python3")
        assert fetched(mctl, "http://127.0.0.1:8000/") == f"visit {before + 1}"
        assert fetched(mctl, "http://127.0.0.1:8000/") == f"visit {before + 2}"
        mctl("rm", "-f", "app")


@pytest.mark.siege
def test_nginx_serves_what_was_left_in_its_volume(built: Callable[[str, str], Mctl]) -> None:
    mctl = built("nginx", NGINX)
    run = ["run", "-d", "--name", "site", "-p", "127.0.0.1:8080:80", "-v", "pages:/var/www/html", "nginx"]
    mctl(*run)
    assert "Welcome to nginx" in fetched(mctl, "http://127.0.0.1:8080/index.nginx-debian.html")  # the image's own
    mctl("exec", "site", "sh", "-c", "echo mine > /var/www/html/own.html")
    mctl.shell(WAIT.format("mctl logs site | grep -q 'GET /index.nginx-debian.html'"))
    mctl("stop", "site")
    assert mctl.properties("site")["ExitStatus"] == 0  # SIGQUIT: gracefully
    mctl("rm", "site")
    mctl(*run)
    assert fetched(mctl, "http://127.0.0.1:8080/own.html") == "mine"


@pytest.mark.siege
def test_postgresql_keeps_what_it_has_committed(built: Callable[[str, str], Mctl]) -> None:
    mctl = built("postgresql", POSTGRESQL)
    run = ["run", "-d", "--name", "db", "-v", "rows:/var/lib/postgresql/data", "postgresql"]

    def ask(statement: str) -> str:
        """From another container, which finds it by its name."""
        client = "mctl run --rm --entrypoint psql postgresql -h db -U postgres -Atc"
        return mctl.shell(WAIT.format(f'{client} "{statement}" 2> /dev/null'), timeout=180).text.strip()

    mctl(*run)
    assert ask("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n") == "SELECT 1000"
    mctl("kill", "db")  # it has to recover from its log
    mctl("wait", "db")
    mctl("rm", "db")
    mctl(*run)
    assert ask("SELECT count(*), sum(n) FROM t") == "1000|500500"
    assert ask("SELECT inet_server_port()") == "5432"
    mctl("stop", "db")
    assert mctl.properties("db")["ExitStatus"] == 0  # SIGINT: a fast shutdown
