"""The page *Receive notices*: its code in six languages verifies what is sent, and nothing else.

A language that is not installed is skipped. C# is compiled by Mono, which knows what the example
needs of .NET.
"""

import hmac
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from models.outgoing.examples import wallet_text
from models.platform.signing import sign, sign_seamless
from tests.support.followed_pages import blocks_of
from tests.support.sources import ROOT

EXAMPLES: Final = ROOT / "producers/examples/receive"
SECRET, AT = "12345ABCDE", 1706191612
# What has to be there, how it is prepared in its folder, how it is run.
LANGUAGES: Final[Mapping[str, tuple[tuple[str, ...], str, tuple[str, ...]]]] = {
    "Python": (("python3",), "", ("python3", "verify.py")),
    "JavaScript": (("node",), "", ("node", "verify.mjs")),
    "PHP": (("php",), "", ("php", "verify.php")),
    "Java": (("javac", "java"), "javac Verify.java", ("java", "-cp", ".", "Verify")),
    "Go": (("go",), "go build -o verify verify.go", ("./verify",)),
    "C#": (("mcs", "mono"), "mcs -langversion:7 Verify.cs", ("mono", "Verify.exe")),
}
HEAD: Final = '"operator":"operator-code","ticket_id":"1330556611374148608"'
CREATE: Final = (
    '{"action":"ticket_create","data":{"operator":"acme","ticket_id":"668ef666333180bba97f0c93",'
    '"ticket_code":"CD4BDD","player_id":"sometokenvalue","price":500,"stake":444,"wht_amount":240,'
    '"wht":10,"ext_amount":56,"ext":12.5,"ext_type":"inclusive","gross_payout":2842,'
    '"net_payout":2602,"currency":"USD","atag":"atag_value","rtag":null,"ticket_type":"quickbet"}}'
)
VOID: Final = (
    f'{{"action":"ticket_void","data":{{{HEAD},"price":500,"stake":444,"wht_amount":0,"wht":10.0,'
    '"ext_amount":56,"ext":12.5,"ext_type":"inclusive","gross_payout":500,"net_payout":500}}'
)
WIN: Final = f'{{"action":"ticket_win","data":{{{HEAD}}}}}'
WIN_SIGNATURE: Final = "d9df7456e857cf7d70450a8bccec4078a0373810ef02e2e267098ab25de7c73c"
# The vendor's vector, and those that were computed for the other actions.
PAM_VECTORS: Final = {
    CREATE: "3fe37f41ba6dc960fd2a7098bd4643f971ff1408a31bcea9f3ef8d03b3ba2d0a",
    VOID: "25335cba3194171e311dae7dc40cbe3abf304ae6d32b5f0015873d4471477717",
    WIN: WIN_SIGNATURE,
    f'{{"action":"ticket_closed","data":{{{HEAD}}}}}': (
        "3a166c75bebe0a411256510bedc255144831cd41fe7ef71c17bcba93200b0414"
    ),
    f'{{"action":"ticket_rollback","data":{{{HEAD},"reason":"some-reason"}}}}': (
        "09452be78132a713bcc180700898d13a62a3fe91803202d83a0ad5b2e71753ca"
    ),
}
WALLET_BODY: Final = '{"username":"member001","agent":"agentId"}'
WALLET_SIGNATURE: Final = (
    "Lb1XhutLBo8KJDsvaHZGadvFy/3qb8a3yy3Q3sjz0uLL5qiW7//Pu26Q/sfWvOC376GIy2so1RmldlRGqMFsSg=="
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Verifier:
    """One language's example, ready to run."""

    folder: Path
    command: tuple[str, ...]
    is_static: bool = False  # linked statically: no test can shift its clock

    def now(self) -> int:
        """Return the time by the program's own clock, as seconds since 1970."""
        if not self.is_static:
            return int(time.time())
        made = self.folder / "made-now"
        made.write_bytes(b"")
        return int(made.stat().st_mtime)  # the kernel keeps the machine's date, too

    def accepts(self, *given: str, body: str, secret: str = SECRET) -> bool:
        """Return its verdict, which its words and its exit say alike."""
        done = subprocess.run(
            [*self.command, *given],
            cwd=self.folder,
            input=body.encode(),
            env={**os.environ, "SECRET": secret},
            capture_output=True,
            check=False,
        )
        assert done.stderr == b""
        words = {0: b"accepted", 1: b"refused"}
        assert done.stdout.strip() == words[done.returncode]
        return done.returncode == 0


@pytest.fixture(scope="module", params=LANGUAGES)
def verifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """The example in each language."""
    programs, preparation, command = LANGUAGES[request.param]
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed")
    folder = tmp_path_factory.mktemp("receive")
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    if preparation:
        # A folder of its own for what Go keeps, so that none of the user's is needed.
        environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod"}
        subprocess.run(preparation.split(), cwd=folder, env=environment, check=True)
    return Verifier(folder, command, is_static=request.param == "Go")


def test_it_accepts_the_vectors_of_both_protocols(verifier):
    for body, signature in PAM_VECTORS.items():
        assert verifier.accepts("pam", str(AT), signature, str(AT), body=body)
    assert verifier.accepts("wallet", WALLET_SIGNATURE, body=WALLET_BODY)


def test_it_accepts_what_is_sent_now_whatever_its_bytes(verifier):
    body = '{"action":"ticket_win","data":{"operator":"é☃","ticket_id":"\U0001f4b6"}}'
    secret = "ß" * 100  # longer than a block, and not ASCII
    now = verifier.now()
    payout = wallet_text("/payout")

    assert verifier.accepts(
        "pam", str(now), sign(body.encode(), timestamp=now, secret=secret), body=body, secret=secret
    )
    assert verifier.accepts(
        "wallet", sign_seamless(payout.encode(), secret=secret), body=payout, secret=secret
    )


def test_it_refuses_a_wrong_signature(verifier):
    now = str(AT)

    assert not verifier.accepts("pam", now, WIN_SIGNATURE, now, body=WIN, secret="12345ABCDF")
    assert not verifier.accepts("pam", now, WIN_SIGNATURE, now, body=f"{WIN} ")
    assert not verifier.accepts("pam", now, WIN_SIGNATURE.upper(), now, body=WIN)
    assert not verifier.accepts("pam", now, WIN_SIGNATURE[:-1], now, body=WIN)
    assert not verifier.accepts("pam", str(AT + 1), WIN_SIGNATURE, now, body=WIN)
    assert not verifier.accepts("wallet", WALLET_SIGNATURE, body=f"{WALLET_BODY} ")
    assert not verifier.accepts("wallet", WALLET_SIGNATURE, body=WALLET_BODY, secret="12345ABCDF")
    assert not verifier.accepts("wallet", "", body=WALLET_BODY)


def test_it_refuses_a_time_outside_the_window_or_that_is_none(verifier):
    assert verifier.accepts("pam", str(AT), WIN_SIGNATURE, str(AT + 300), body=WIN)
    assert not verifier.accepts("pam", str(AT), WIN_SIGNATURE, str(AT + 301), body=WIN)
    assert not verifier.accepts("pam", str(AT), WIN_SIGNATURE, str(AT - 301), body=WIN)
    assert not verifier.accepts("pam", str(AT), WIN_SIGNATURE, body=WIN), "by the clock it is old"
    for timestamp in ("", "soon", f"+{AT}", f"{AT}.0", f"{AT}000", "1706191612\n"):
        signature = sign_text(timestamp)
        assert not verifier.accepts("pam", timestamp, signature, str(AT), body=WIN), timestamp


def sign_text(timestamp: str) -> str:
    """Sign as one who knows the secret, and writes the time in another form."""
    return hmac.new(SECRET.encode(), f"{timestamp}{WIN}".encode(), "sha256").hexdigest()


def test_the_lines_of_the_page_print_what_it_says():
    (lines,) = [text for kind, text in blocks_of("producers/RECEIVE.md") if kind == "sh"]
    (printed,) = [text for kind, text in blocks_of("producers/RECEIVE.md") if kind == "text"]
    if not shutil.which("python3"):
        pytest.skip("python3 is not installed")

    done = subprocess.run(
        ["/bin/sh", "-ec", lines], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == printed
