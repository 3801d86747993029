# SPDX-License-Identifier: Apache-2.0
"""The films of the guide are true: played again with this server, each is what web/films has."""
import json

import pytest
from films import FILMS, FOLDER, OUTSIDE, record, shape
from peers_outside import need_outside


def test_the_guide_has_these_films_and_no_others():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FILMS)


@pytest.mark.parametrize("name", FILMS)
def test_a_film_played_again_is_the_one_that_is_kept(name):
    if name in OUTSIDE:
        need_outside()
    kept = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert shape(record(name)) == shape(kept), f"the server does otherwise now: films.py {name} writes it anew; read what changed, and whether the guide still says so"
