"""The TLS front: nginx before the portal. This writes its configuration and nothing else does."""

from pathlib import Path

from appliance.config import Config

_TEMPLATE = """\
# Written by the box at each start; changes here are lost.
daemon off;
{user}worker_processes 1;
pid {run}/nginx.pid;
# that the portal's socket is not there yet while it starts is no news
error_log stderr alert;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {run}/nginx-body;
    proxy_temp_path {run}/nginx-proxy;
    fastcgi_temp_path {run}/nginx-fastcgi;
    uwsgi_temp_path {run}/nginx-uwsgi;
    scgi_temp_path {run}/nginx-scgi;
    client_max_body_size 2m;
    ssl_certificate {keys}/server.crt;
    ssl_certificate_key {keys}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:portal:2m;
    server {{
        listen {port} ssl;
        listen [::]:{port} ssl;
        error_page 497 =301 https://$http_host$request_uri;
        location / {{
            proxy_pass http://unix:{run}/portal.sock;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_read_timeout 60s;
        }}
        location = /academies/import {{
            # the one page that takes a large file: all of England's schools
            client_max_body_size 150m;
            proxy_pass http://unix:{run}/portal.sock;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_read_timeout 60s;
        }}
        error_page 502 504 @starting;
        location @starting {{
            default_type text/html;
            add_header Retry-After 2 always;
            return 503 "<!doctype html><meta http-equiv=refresh content=2><title>Trustkeep</title>\
<p>The portal is starting. This page opens it by itself in a moment.";
        }}
    }}
}}
"""


def write_front_configuration(config: Config, as_root: bool) -> Path:
    """Write nginx's configuration under the run folder and return its path."""
    path = config.run / "nginx.conf"
    # as root nginx would hand its workers to a user who can't reach the portal's socket in the private run folder
    user = "user root;\n" if as_root else ""
    path.write_text(_TEMPLATE.format(user=user, run=config.run, keys=config.keys, port=config.portal_port))
    return path
