"""What the sample weekend is made of: sports, teams, venues with their offset from UTC, head-end destinations.

Clubs and channels are invented; cities are real, so that time zones are. Offsets are those of late
November, written out, so that the generator needs no time zone database.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Venue(NamedTuple):
    """Where it is played: the city, the ground and minutes ahead of UTC."""

    city: str
    ground: str
    offset: int


class Sport(NamedTuple):
    """`events` of it over the weekend; minutes of play, lead before kick-off, local hours of kick-off."""

    name: str
    code: str
    competition: str
    events: int
    minutes: int
    lead: int
    hours: tuple[int, ...]
    clubs: tuple[str, ...]


NORTH: Final = (
    Venue("København", "Østerport Park", 60),
    Venue("Malmö", "Kockums Arena", 60),
    Venue("Oslo", "Ekeberg Stadion", 60),
    Venue("Helsinki", "Katajanokka Areena", 120),
    Venue("Reykjavík", "Faxaflói Völlur", 0),
    Venue("Tallinn", "Kalamaja Hall", 120),
)
WEST: Final = (
    Venue("Leeds", "Holbeck Road", 0),
    Venue("Dublin", "Ringsend Park", 0),
    Venue("Lisboa", "Campo da Alcântara", 0),
    Venue("Sevilla", "Pabellón de Triana", 60),
    Venue("Lyon", "Stade de la Croix-Rousse", 60),
    Venue("Köln", "Mülheimer Halle", 60),
    Venue("Gent", "Dampoort Arena", 60),
    Venue("Torino", "Campo del Valentino", 60),
)
EAST: Final = (
    Venue("Athína", "Faliro Indoor", 120),
    Venue("İzmir", "Göztepe Salonu", 180),
    Venue("Mumbai", "Bandra Ground", 330),
    Venue("Kathmandu", "Patan Maidan", 345),
    Venue("東京", "江東アリーナ", 540),
    Venue("Perth", "Fremantle Oval", 480),
    Venue("Adelaide", "Glenelg Centre Court", 630),
    Venue("Auckland", "Ponsonby Park", 780),
)
AMERICAS: Final = (
    Venue("St. John's", "Quidi Vidi Rink", -210),
    Venue("Montréal", "Aréna Rosemont", -300),
    Venue("Chicago", "Pilsen Center", -360),
    Venue("Denver", "Five Points Rink", -420),
    Venue("Vancouver", "Kitsilano Forum", -480),
    Venue("São Paulo", "Ginásio da Mooca", -180),
    Venue("Buenos Aires", "Estadio Barracas", -180),
    Venue("Honolulu", "Kaimukī Courts", -600),
)
VENUES: Final = NORTH + WEST + EAST + AMERICAS

SPORTS: Final = (
    Sport(
        "football", "FTB", "First League", 92, 112, 30, (13, 15, 17, 20),
        ("Rovers", "Athletic", "Dynamo", "United", "Wanderers", "1904", "Sporting", "Real"),
    ),
    Sport(
        "rugby", "RUG", "Autumn Series", 34, 105, 45, (14, 16, 19),
        ("Harriers", "Stags", "Barbers", "Kites", "Quins"),
    ),
    Sport(
        "basketball", "BBL", "Continental Cup", 44, 125, 20, (17, 19, 20),
        ("Towers", "Comets", "Baskets", "Pacers '78", "Lions"),
    ),
    Sport(
        "handball", "HND", "Women's Super Liga", 32, 95, 20, (16, 18, 19),
        ("HK", "Vipers", "Håndbold", "SG", "Ademar"),
    ),
    Sport(
        "ice hockey", "ICE", "Winter Hockey League", 42, 155, 30, (15, 19, 20),
        ("Blizzard", "Moose", "Icebreakers", "Jääkarhut", "Pike"),
    ),
    Sport("tennis", "TEN", "City Open", 30, 150, 15, (10, 11, 14, 19), ("Court 1", "Court 2", "Centre Court")),
    Sport("cycling", "CYC", "Cyclo-cross World Series", 10, 75, 40, (11, 13, 15), ("Elite Women", "Elite Men")),
    Sport("volleyball", "VOL", "Indoor Champions", 14, 120, 20, (18, 20), ("Smash", "Volero", "Blockers")),
    Sport("darts", "DRT", "Grand Masters", 8, 200, 30, (19,), ("Afternoon session", "Evening session")),
)  # fmt: skip

PLAYERS: Final = (
    "A. Okafor", "B. Lindqvist", "C. Moreau", "D. Papadakis", "E. Tanaka", "F. D'Angelo", "G. Núñez",
    "H. Śliwa", "I. van der Berg", "J. O'Sullivan", "K. Çelik", "L. Björnsdóttir",
)  # fmt: skip

HEAD_ENDS: Final = (
    "http://he-north.example.net/ingest/1",
    "http://he-north.example.net/ingest/2",
    "http://he-south.example.net/ingest/1",
    "https://he-cloud.example.net/v2/receivers/main",
    "https://he-cloud.example.net/v2/receivers/backup",
)

TX_EVENT_TYPES: Final = ("Live", "Live", "Live", "Update", "Delayed", "Simulcast")
STATUSES: Final = ("draft", "tentative", "confirmed", "running", "completed", "ready_for_invoice", "invoiced")

# Node types by name and by number; planning sends either.
NODE_TYPES: Final = {
    "Source": 0, "SourceType": 1, "Resource": 2, "ResourcePool": 3,
    "Destination": 4, "DestinationType": 5, "SourceInstance": 6, "DestinationInstance": 7,
}  # fmt: skip

# Every spelling of "yes" and "no" that the property DMHE is known to come in. `None` is JSON's null.
DMHE_YES: Final[tuple[str | bool | int, ...]] = ("true", "True", "1", "yes", True, 1)
DMHE_NO: Final[tuple[str | bool | int | None, ...]] = ("false", "False", "FALSE", "0", "", False, 0, None)
