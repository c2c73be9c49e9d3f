"""How often somebody who deletes a session looks for the end of its workers."""

from itertools import islice

from burst_magic.session.ending import looks


def test_a_folder_is_looked_at_often_until_the_end():
    assert set(islice(looks(20.0, at_hand=True), 1000)) == {0.05}
    assert set(islice(looks(0.1, at_hand=True), 1000)) == {0.025}


def test_a_bucket_is_looked_at_ever_more_seldom():
    assert list(islice(looks(20.0, at_hand=False), 8)) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_no_look_is_longer_away_than_a_quarter_of_an_interval():
    assert max(islice(looks(2.0, at_hand=False), 100)) == 0.5
    assert max(islice(looks(0.1, at_hand=False), 100)) == 0.025
