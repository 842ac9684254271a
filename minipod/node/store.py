"""What the node remembers: one SQLite file, every commit about 0.1 ms.

    objects   the latest state of every object, with what was last applied
    changes   the last writes, oldest first, so that a watch can go on from a resourceVersion

WAL and synchronous=NORMAL (https://www.sqlite.org/pragma.html#pragma_synchronous): a process that dies loses nothing,
a power cut may lose the last commits but never corrupts the file. One connection, used by the node's loop only; the
statements stay prepared in its cache.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from minipod.errors import Conflict, MinipodError

SCHEMA = 1
KEPT = 8192  # changes kept for watches that resume

_CREATE = f"""
CREATE TABLE objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL, body BLOB NOT NULL, applied BLOB NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE changes (
    version INTEGER PRIMARY KEY, type TEXT NOT NULL, kind TEXT NOT NULL,
    namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL
);
PRAGMA user_version = {SCHEMA};
"""


class Row(NamedTuple):
    """One write, as it is stored. `type` is ADDED, MODIFIED or DELETED; `body` the object as JSON."""

    version: int
    type: str
    kind: str
    namespace: str
    name: str
    uid: str
    body: bytes
    applied: bytes = b""


class Store:
    """The file at `path` (":memory:" for none). `version` is the resourceVersion of the last write."""

    def __init__(self, path: str) -> None:
        try:
            self._open(path)
        except sqlite3.Error as error:
            raise MinipodError(f"open the node's store {path}: {error}") from error

    def _open(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        (schema,) = self._db.execute("PRAGMA user_version").fetchone()
        if schema == 0:
            self._db.executescript(f"BEGIN; {_CREATE} COMMIT")
        elif schema != SCHEMA:
            raise MinipodError(
                f"{path} was written by another version of minipod (format {schema}, not {SCHEMA})"
            )
        (last,) = self._db.execute("SELECT max(version) FROM changes").fetchone()
        self.version: int = last or 0

    def objects(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Kind, body and applied of every object, in the order of their last writes."""
        yield from self._db.execute("SELECT kind, body, applied FROM objects ORDER BY version")

    def write(self, rows: Iterable[Row]) -> None:
        """All of `rows`, with ascending versions from `version` + 1, or none of them."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for row in rows:
                self._write(row)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            kind = Conflict if isinstance(error, sqlite3.IntegrityError) else MinipodError
            raise kind(f"write to the node's store: {error}") from error
        self.version = row.version

    def _write(self, row: Row) -> None:
        version, type_, kind, namespace, name, uid, body, applied = row
        if type_ == "DELETED":
            statement = "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?"
            self._db.execute(statement, (kind, namespace, name))
        elif type_ == "ADDED":
            statement = "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)"
            self._db.execute(statement, (kind, namespace, name, uid, version, body, applied))
        else:
            statement = "UPDATE objects SET version = ?, body = ?, applied = ? WHERE uid = ?"
            self._db.execute(statement, (version, body, applied, uid))
        statement = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)"
        self._db.execute(statement, (version, type_, kind, namespace, name, body))
        if version % 256 == 0:
            self._db.execute("DELETE FROM changes WHERE version <= ?", (version - KEPT,))

    def changes(self, after: int) -> list[tuple[int, str, str, bytes]] | None:
        """Version, type, kind and body of every write after `after`; None if they are no longer all there."""
        if after > self.version:
            return None
        (oldest,) = self._db.execute("SELECT min(version) FROM changes").fetchone()
        if after + 1 < (oldest or self.version + 1):
            return None
        statement = "SELECT version, type, kind, body FROM changes WHERE version > ? ORDER BY version"
        return self._db.execute(statement, (after,)).fetchall()

    def close(self) -> None:
        self._db.close()
