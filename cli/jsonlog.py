"""Log entries as lines of JSON, with the keys that log shippers know from Kubernetes.

Source: Kubernetes documentation, "System Logs", JSON log format."""

from __future__ import annotations

import json
import logging

TEXT, JSON = "text", "json"
LOG_FORMATS = (TEXT, JSON)


class JsonFormatter(logging.Formatter):
    """`ts` are milliseconds since 1970; `v`, which errors have none of, is 0 for what everybody should see
    and 4 for what is of interest in a search for faults; `err` tells of an error."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "ts": round(record.created * 1000, 3),
            "logger": record.name,
            "caller": f"{record.filename}:{record.lineno}",
            "msg": record.getMessage(),
        }
        if record.levelno < logging.ERROR:
            entry["v"] = 0 if record.levelno >= logging.INFO else 4
        if record.levelno == logging.WARNING:
            entry["level"] = "warning"
        if record.exc_info:
            entry["err"] = str(record.exc_info[1])
            entry["stacktrace"] = self.formatException(record.exc_info)
        elif record.levelno >= logging.ERROR:
            entry["err"] = record.getMessage()
        return json.dumps(entry, ensure_ascii=False, default=str)
