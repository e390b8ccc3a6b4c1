//! The words that the seeded world is made of.

pub(super) const ADJECTIVES: [&str; 24] = [
    "amber", "brisk", "calm", "copper", "dusty", "early", "fern", "gentle", "hazel", "indigo", "jolly", "kind",
    "lunar", "mellow", "north", "olive", "plain", "quiet", "rusty", "silver", "tidy", "urban", "velvet", "wild",
];

pub(super) const NOUNS: [&str; 24] = [
    "anchor", "birch", "canvas", "dune", "ember", "field", "garden", "harbour", "island", "juniper", "kettle",
    "lantern", "meadow", "needle", "orchard", "paper", "quarry", "river", "saddle", "thistle", "umbra", "valley",
    "willow", "yarn",
];

pub(super) const GIVEN_NAMES: [&str; 20] = [
    "Ada", "Bruno", "Carla", "Dario", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Leon", "Mira", "Noor",
    "Otto", "Pia", "Quentin", "Rosa", "Sven", "Tala",
];

pub(super) const FAMILY_NAMES: [&str; 20] = [
    "Abel", "Brandt", "Conti", "Duarte", "Egger", "Fontaine", "Garcia", "Holm", "Ivanov", "Jansen", "Keller", "Lind",
    "Moreau", "Novak", "Okafor", "Petit", "Rossi", "Silva", "Tanaka", "Weiss",
];

/// Every hashtag of the world.
pub(super) const HASHTAGS: [&str; 16] = [
    "handmade",
    "slowtravel",
    "trailrunning",
    "sourdough",
    "filmphotography",
    "houseplants",
    "bikepacking",
    "ceramics",
    "streetfood",
    "woodworking",
    "birdwatching",
    "wildswimming",
    "typography",
    "knitting",
    "nightsky",
    "oldtown",
];

/// Name, city, latitude, longitude.
pub(super) const PLACES: [(&str, &str, f64, f64); 10] = [
    ("Botanical Garden", "Lisbon", 38.717, -9.150),
    ("Harbour Market", "Bergen", 60.397, 5.324),
    ("Old Mill Bakery", "Ghent", 51.054, 3.725),
    ("Hillside Observatory", "Granada", 37.064, -3.385),
    ("Canal Workshop", "Utrecht", 52.092, 5.104),
    ("River Boathouse", "Ljubljana", 46.051, 14.506),
    ("Lighthouse Trail", "Porto", 41.149, -8.674),
    ("Paper Museum", "Basel", 47.554, 7.604),
    ("Station Kiosk", "Turku", 60.452, 22.267),
    ("Forest Lake", "Tartu", 58.378, 26.729),
];

pub(super) const CAPTIONS: [&str; 12] = [
    "First light this morning",
    "Two days of work and finally done",
    "Nothing planned, everything found",
    "The last one of the season",
    "Trying again after last week",
    "A quiet hour between two trains",
    "Somebody asked how it is made",
    "Found this corner by accident",
    "Rain all day, worth it",
    "Older than all of us",
    "Small steps, same direction",
    "Ask me tomorrow whether it was a good idea",
];

pub(super) const COMMENTS: [&str; 10] = [
    "Lovely light",
    "How long did it take?",
    "I was there last year!",
    "Adding this to my list",
    "The colours!",
    "Great work",
    "Which lens is this?",
    "Wish I could see it in person",
    "So calm",
    "More of these please",
];
