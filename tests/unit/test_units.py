"""Times, sizes and money: what is written is read, what is shown is read back."""

import pytest

from burst_magic.units import format_duration, format_money, format_size, parse_duration, parse_money, parse_size, whole


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("300s", 300), ("5m", 300), ("24h", 86400), ("2d", 172800), ("1.5h", 5400), (" 0.5 s ", 0.5)],
)
def test_a_duration_is_read_in_every_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "5 minutes", "1h30m", "h", "nan", "inf", "1e3", "٣"])
def test_what_is_no_duration_is_refused_with_what_one_looks_like(text):
    with pytest.raises(ValueError, match="is not a duration") as caught:
        parse_duration(text)
    assert "24h" in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300, "5m"), (86400, "24h"), (172800, "2d"), (90, "90s"), (0.05, "0.05s"), (129600, "36h"), (21 * 86400, "21d")],
)
def test_a_duration_is_shown_so_that_it_reads_back(seconds, text):
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "mib"),
    [("8GB", 8192), ("512MB", 512), ("8", 8192), ("0.5", 512), ("8 GiB", 8192), ("30g", 30720), ("1024m", 1024)],
)
def test_a_size_is_read_in_every_unit(text, mib):
    assert parse_size(text) == mib


@pytest.mark.parametrize("text", ["", "0", "-1GB", "8TB", "GB", "eight", "0.0001MB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("mib", [1, 512, 1024, 1500, 1536, 8192, 122880])
def test_a_size_is_shown_so_that_it_reads_back(mib):
    assert parse_size(format_size(mib)) == mib


@pytest.mark.parametrize(("text", "micros"), [("5", 5_000_000), ("5.00", 5_000_000), ("$0.25", 250_000)])
def test_dollars_are_read_as_micro_dollars(text, micros):
    assert parse_money(text) == micros


@pytest.mark.parametrize("text", ["", "0", "-5", "5€", "free", "0.0000001"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="is not a dollar amount"):
        parse_money(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "$0.00"), (3, "<$0.0001"), (1234, "$0.0012"), (10_000, "$0.01"), (1_234_567_890, "$1,234.57")],
)
def test_money_is_shown_in_cents_or_finer(micros, text):
    assert format_money(micros) == text


@pytest.mark.parametrize("text", ["", "-1", "0", "1.0", "four", "²"])
def test_a_whole_number_is_digits_only_and_not_too_small(text):
    with pytest.raises(ValueError, match="is not an integer of at least 1"):
        whole(1)(text)
