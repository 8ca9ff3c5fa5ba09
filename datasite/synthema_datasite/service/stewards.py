"""Stewards: the people who decide here. Their public keys are facts of the Journal; the private ones are in files."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.errors import InvalidInput, NotAuthenticated, NotPermitted, Unavailable
from synthema_core.identity import public_key
from synthema_core.journal import Draft
from synthema_datasite.service.records import STEWARDS, stewards
from synthema_datasite.service.site import Site


def add_steward(site: Site, name: str, passphrase: str) -> str:
    """Make a steward's key and record its public half, which is returned.

    Raises
    ------
    InvalidInput
        For a bad name, a short passphrase, or a steward who exists.
    Unavailable
        If there is no room on the disk. Journal and keys are as before.
    """
    key = None
    try:
        with site.journal.writing() as journal:
            if name in stewards(journal):
                raise InvalidInput(f"'{name}' is a steward already.", "Choose another name.")
            key = public_key(site.state.add_steward_key(name, passphrase))
            journal.append(Draft(STEWARDS, "add", site.name, site.now(), {"name": name, "key": key}))
    except Unavailable:
        if key is not None:
            site.state.remove_steward_key(name)
        raise
    return key


def unlock(site: Site, name: str, passphrase: str) -> Ed25519PrivateKey:
    """The key of a steward of this site, for one decision.

    Raises
    ------
    NotAuthenticated, NotPermitted
        For a wrong passphrase or name; for a key file that the Journal does not know.
    """
    key = site.state.unlock(name, passphrase)
    recorded = stewards(site.journal).get(name)
    if recorded is None:
        raise NotPermitted(f"'{name}' is not a steward of this site.", "Ask its engineer to add you.")
    if recorded != public_key(key):
        raise NotAuthenticated("The steward's key is not the one this site's journal knows.")
    return key
