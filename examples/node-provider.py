#!/usr/bin/env python3
"""A node provider for `podium server --node-provider`, to copy from: see docs/node-autoscaler.md.

It is run with a verb, reads a JSON object from standard input and writes one to standard output. This one
only keeps a list of machines in a file; what a cloud has to be told stands where the comments say so.

    node-provider.py --state FILE [--max N] list|template|add|remove
"""

import argparse
import fcntl
import json
import sys

GROUP = "workers"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", required=True, help="file that the machines are kept in")
    parser.add_argument("--max", type=int, default=5)
    parser.add_argument("verb", choices=("list", "template", "add", "remove"))
    options = parser.parse_args()
    request = json.load(sys.stdin)
    with open(options.state, "a+") as file:
        # Two questions may be asked at the same time.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        machines = json.loads(file.read() or "[]")
        answer = answer_to(options, request, machines)
        file.truncate(0)
        file.write(json.dumps(machines))
    json.dump(answer, sys.stdout)
    return 1 if "error" in answer else 0


def answer_to(options: argparse.Namespace, request: dict, machines: list) -> dict:
    if options.verb == "list":
        return {"groups": [{"name": GROUP, "min": 0, "max": options.max, "nodes": machines}]}
    if request.get("group") != GROUP:
        return {"error": f"there is no group {request.get('group')!r}"}
    if options.verb == "template":
        return {
            "labels": {"kubernetes.io/arch": "amd64", "example.com/pool": GROUP},
            "taints": [],
            "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        }
    if options.verb == "add":
        if len(machines) + request["count"] > options.max:
            return {"error": f"no more than {options.max} machines"}
        taken, made = set(machines), []
        number = 1
        while len(made) < request["count"]:
            name = f"{GROUP}-{number}"
            if name not in taken:
                # Here a machine is made whose start-up script runs `podium node --join ...` with this name.
                made.append(name)
            number += 1
        machines += made
        return {"nodes": made}
    if request["node"] in machines:
        # Here the machine is deleted.
        machines.remove(request["node"])
    return {}


if __name__ == "__main__":
    sys.exit(main())
