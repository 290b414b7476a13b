"""Every error Shoal raises on purpose, and the registry of their codes.

An error says what was wrong, where, what was received, what is allowed and what to do next. The
command line maps an error to its exit code; a service maps the same code to a status.

    ShoalError
    ├── UsageError          exit 2   the call itself is wrong
    ├── InputError          exit 3   the input is missing, unreadable or holds nothing usable
    └── OperationError      exit 1   the machine failed: disk, lock, interrupt, damaged store
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INPUT: Final = 3
#: Done, and something waits for a person's approval (`shoal sync`).
EXIT_WAITING: Final = 4

# code -> one line that a person reads in the docs; an error raised with a code that is not here is
# a programming mistake and fails at once.
CODES: Final = MappingProxyType(
    {
        # usage
        "usage": "the command or call has wrong arguments",
        "unknown_preset": "no source preset has that name",
        "unknown_recipe": "no recipe has that name",
        "unknown_world": "no simulated world has that name",
        "unknown_dial": "simulated worlds have no dial of that name",
        "bad_dial": "a dial of a simulated world has a value that no world can have",
        "unknown_method": "no segmenter has that name",
        "unknown_segment": "the shop's current segmentation has no such segment",
        "unknown_segmentation": "the shop has no segmentation of that id",
        "unknown_customer": "the shop knows no customer of that id",
        "unknown_format": "no export format has that name",
        "unknown_setting": "a configuration file names a setting that does not exist",
        "bad_setting": "a setting has a value that is not allowed",
        "bad_rule": "a rule is malformed, or asks for what the shop does not know",
        "bad_mapping": "a mapping file is malformed or names unknown columns or kinds",
        "bad_time": "a time argument cannot be read",
        "bad_period": "a period is reversed or lies outside the log",
        "mapping_unconfirmed": "a guessed mapping needs a person's yes",
        "bad_rates": "a file of currency rates is malformed or contradicts itself",
        "bad_books": "a file of books has no months and amounts that can be read and compared",
        "bad_covariates": "a table of outside data is malformed or contradicts itself",
        "unknown_item": "the shop knows no facts of an item of that id",
        "unknown_covariate": "the shop has no outside data of that name",
        "unknown_model": "the shop has no behaviour model of that id, or none",
        "model_mismatch": "a behaviour model was made by other settings than it is used with",
        "unknown_text_encoder": "there is no encoder of texts of that name or path",
        "nothing_to_resume": "no unfinished training is like the one to go on with",
        "no_device": "the machine has no accelerator that can be used",
        "unknown_input": "segments cannot be made on that",
        "unknown_aim": "segments have no such aim",
        "unknown_dialect": "no SQL dialect has that name",
        "unknown_channel": "the shop has no consent of that channel",
        "unknown_export": "the shop has recorded no export of that id or for that segment",
        "unknown_action": "no exposure of the shop has that action",
        "bad_holdout": "a holdout cannot have that share or name, or has another one",
        "no_sql_form": "the segment cannot be written as SQL over canonical columns",
        "unknown_key": "the shop has no key of that name",
        "last_admin_key": "the last key of an administrator is revoked on the shop's machine alone",
        "bad_webhook": "nothing may be sent to that address, or a webhook has other bad settings",
        "unknown_webhook": "the shop has no webhook of that id",
        "no_secret": "the environment lacks a secret that this needs",
        "bad_secret": "a secret of the environment is too short or cannot be read",
        "wrong_secret": "a secret of the environment is not the one that the shop was made with",
        "privacy_changed": "a shop that holds events cannot begin or end to hide ids",
        "shop_exists": "the directory already holds a shop",
        "not_a_shop": "the directory does not hold a shop",
        "not_a_backup": "the directory does not hold a whole backup",
        # input
        "input_missing": "the input file or folder does not exist",
        "input_unreadable": "the input exists but cannot be read or parsed",
        "input_empty": "the input holds no rows",
        "input_unusable": "not one row of the input is usable",
        "unknown_columns": "the input lacks the columns the mapping needs",
        "duplicate_headers": "two columns of the input have the same name",
        "too_little_data": "the shop holds too little for what was asked",
        "mixed_currencies": "amounts of different currencies cannot be added",
        "rates_missing": "amounts of a currency have no rate for their date",
        # operation
        "no_permission": "the operating system refused access",
        "disk_full": "no space is left on the device",
        "interrupted": "the work was interrupted and can be started again",
        "out_of_memory": "the memory of an accelerator does not hold what was asked for",
        "training_diverged": "the loss of a model in training is no longer a number",
        "checkpoint_unusable": "a checkpoint is damaged, or of other settings or data",
        "not_served": "a service that was started does not answer",
        "port_taken": "the service cannot listen where it should",
        "store_unreachable": "the database that holds the shop's state does not answer",
        "shop_locked": "another process is writing to the shop",
        "shop_newer": "the shop was written by a newer version of Shoal",
        "shop_older": "the shop must be migrated before use",
        "shop_damaged": "a store of the shop is damaged",
        "erasure_unfinished": "a person's erasure was interrupted; the next writer finishes it",
        "audit_broken": "the audit log was changed, or entries of it are missing",
        "backup_damaged": "a file of a backup is not what its manifest says",
        "artefact_damaged": "an artefact's checksum does not match its manifest",
        "missing_extra": "an optional dependency is not installed",
        "internal": "an unexpected failure inside Shoal",
    }
)


@dataclass
class ShoalError(Exception):
    """Base of all errors raised on purpose.

    Args:
        code: one of `CODES`.
        message: what was wrong and what was received, for a person.
        where: file, row, key or object concerned; empty if nowhere in particular.
        hint: what is allowed and what to do next.
    """

    code: str
    message: str
    where: str = ""
    hint: str = ""

    exit_code = EXIT_FAILED

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"error code {self.code!r} is not in shoal.domain.errors.CODES")
        super().__init__(self.message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.where:
            parts.append(f"Where: {self.where}")
        if self.hint:
            parts.append(self.hint)
        return "\n".join(parts)

    def as_document(self) -> dict[str, dict[str, str]]:
        """The error as the one JSON document that `--json` prints."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "where": self.where,
                "hint": self.hint,
            }
        }


class UsageError(ShoalError):
    """The call is wrong; the same call will never succeed."""

    exit_code = EXIT_USAGE


class InputError(ShoalError):
    """The input is missing, unreadable or holds nothing usable."""

    exit_code = EXIT_INPUT


class OperationError(ShoalError):
    """The machine or a store failed; the same call may succeed later."""

    exit_code = EXIT_FAILED
