"""The TLS front: nginx before the portal. This writes its configuration and nothing else does."""

from pathlib import Path

from appliance.config import Config

_TEMPLATE = """\
# Written by the box at each start; changes here are lost.
daemon off;
{user}worker_processes 1;
# a browser extension keeps one connection here and one to the broker open all day
worker_rlimit_nofile 65536;
pid {run}/nginx.pid;
# that the portal's socket is not there yet while it starts is no news
error_log stderr alert;
events {{ worker_connections 32768; }}
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
    # all devices of a school come from one address, so this only bounds what enrolling costs the box
    limit_req_zone $binary_remote_addr zone=enrol:1m rate=10r/s;
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
        location = /mqtt {{
            # browser extensions: MQTT over WebSockets, to the broker's listener on this machine alone
            proxy_pass http://127.0.0.1:{websocket_port}/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host $http_host;
            proxy_buffering off;
            # the broker decides when a device is gone
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
        location = /enrol {{
            client_max_body_size 16k;
            limit_req zone=enrol burst=50;
            limit_req_status 429;
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
    text = _TEMPLATE.format(
        user=user, run=config.run, keys=config.keys, port=config.portal_port, websocket_port=config.websocket_port
    )
    path.write_text(text)
    return path
