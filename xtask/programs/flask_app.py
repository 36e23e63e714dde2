# A web application on Flask's own server, with a client beside it, spoken to as serve.h says; what a run measures is requests a second.
#
# The client is a process of its own, started before the server: it is not of the process that is traced.

import http.client
import os
import socket
import subprocess
import sys
import threading
import time


def client(port, orders, results):
    """Asks for pages, one after the other on one connection, as long as it is told to; says how many a second it got."""
    for line in orders:
        end = time.monotonic() + int(line) / 1000
        connection = http.client.HTTPConnection("127.0.0.1", port)
        start = time.monotonic()
        count = 0
        while time.monotonic() < end:
            connection.request("GET", f"/orders/{count % 50}?page={count % 7}")
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or b"order 30" not in body:
                sys.exit(f"the server answered {response.status}: {body[:200]}")
            count += 1
        connection.close()
        results.write(f"{count / (time.monotonic() - start):.2f}\n")
        results.flush()


def with_client(port):
    """Starts the client; files to tell it for how many milliseconds to work, and to be told what came of it."""
    # What traces this program by a library that is loaded first is not to trace the client.
    rest = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, __file__, "client", str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=rest)
    return process.stdin, process.stdout


PAGE = """<!doctype html><title>{{ customer }}</title><ul>
{% for order in orders %}<li class="{{ loop.cycle('odd', 'even') }}">order {{ order.number }}: {{ order.text|upper }}, {{ '%.2f'|format(order.price) }}
{% endfor %}</ul>"""


def application():
    import flask

    app = flask.Flask("orders")
    recent = {}
    template = app.jinja_env.from_string(PAGE)

    @app.route("/orders/<int:customer>")
    def orders(customer):
        page = flask.request.args.get("page", type=int)
        rows = [{"number": number, "text": f"thing {number * page}", "price": number * 1.5} for number in range(31)]
        # What was asked for last is kept, as caches do.
        recent[customer] = flask.json.dumps(rows)
        return flask.render_template(template, customer=customer, orders=rows)

    return app


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    orders, results = with_client(port)

    import logging

    from werkzeug.serving import WSGIRequestHandler, make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server("127.0.0.1", port, application(), fd=listener.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(milliseconds):
        orders.write(f"{milliseconds}\n")
        orders.flush()
        return results.readline()

    # The first requests import what is left.
    run(300)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.startswith("run "):
            print(run(line.split()[1]), end="", flush=True)


if sys.argv[1:2] == ["client"]:
    client(int(sys.argv[2]), sys.stdin, sys.stdout)
else:
    main()
