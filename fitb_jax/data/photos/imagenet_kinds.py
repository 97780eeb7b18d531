"""The ImageNet classes that belong to each class of PASCAL VOC and COCO."""

from fitb_jax import imagenet

_BIRDS = (("cock", "great grey owl"), ("black grouse", "black swan"), ("white stork", "albatross"))
_DOGS = (("Chihuahua", "Mexican hairless"),)
_CATS = (("tabby", "Egyptian cat"),)
_BEARS = (("brown bear", "sloth bear"),)
_CARS = (
    "ambulance",
    "beach wagon",
    "cab",
    "convertible",
    "jeep",
    "limousine",
    "minivan",
    "Model T",
    "racer",
    "sports car",
)
_BOATS = (
    "canoe",
    "catamaran",
    "container ship",
    "fireboat",
    "gondola",
    "lifeboat",
    "liner",
    "pirate",
    "schooner",
    "speedboat",
    "submarine",
    "trimaran",
    "yawl",
)
_TRAINS = (
    "bullet train",
    "electric locomotive",
    "freight car",
    "passenger car",
    "steam locomotive",
)
_BALLS = (
    "baseball",
    "basketball",
    "croquet ball",
    "golf ball",
    "ping-pong ball",
    "rugby ball",
    "soccer ball",
    "tennis ball",
    "volleyball",
)
_TABLE: dict[str, tuple[str | tuple[str, str], ...]] = {
    "person": ("ballplayer", "groom", "scuba diver"),
    "bicycle": ("bicycle-built-for-two", "mountain bike"),
    "car": _CARS,
    "motorbike": ("moped", "motor scooter"),
    "aeroplane": ("airliner", "warplane"),
    "bus": ("minibus", "school bus", "trolleybus"),
    "train": _TRAINS,
    "truck": (
        "fire engine",
        "garbage truck",
        "moving van",
        "pickup",
        "tow truck",
        "trailer truck",
    ),
    "boat": _BOATS,
    "traffic light": ("traffic light",),
    "parking meter": ("parking meter",),
    "bench": ("park bench",),
    "bird": _BIRDS,
    "cat": _CATS,
    "dog": _DOGS,
    "horse": ("sorrel",),
    "sheep": ("ram", "bighorn"),
    "cow": ("ox",),
    "elephant": ("tusker", "Indian elephant", "African elephant"),
    "bear": _BEARS,
    "zebra": ("zebra",),
    "backpack": ("backpack",),
    "umbrella": ("umbrella",),
    "handbag": ("purse", "mailbag"),
    "tie": ("bolo tie", "bow tie", "Windsor tie"),
    "skis": ("ski",),
    "sports ball": _BALLS,
    "kite": (),  # ImageNet's is the bird
    "tennis racket": ("racket",),
    "bottle": ("beer bottle", "pill bottle", "pop bottle", "water bottle", "wine bottle"),
    "wine glass": ("goblet",),
    "cup": ("cup", "coffee mug", "espresso"),
    "spoon": ("wooden spoon",),
    "bowl": ("mixing bowl", "soup bowl"),
    "sandwich": ("cheeseburger",),
    "banana": ("banana",),
    "apple": ("Granny Smith",),
    "orange": ("orange",),
    "broccoli": ("broccoli",),
    "hot dog": ("hotdog",),
    "pizza": ("pizza",),
    "cake": ("trifle",),
    "chair": ("barber chair", "folding chair", "rocking chair", "throne"),
    "sofa": ("studio couch",),
    "pottedplant": ("pot",),
    "bed": ("four-poster", "crib"),
    "diningtable": ("dining table",),
    "toilet": ("toilet seat",),
    "tvmonitor": ("monitor", "screen", "television"),
    "laptop": ("laptop", "notebook"),
    "mouse": ("mouse",),
    "remote": ("remote control",),
    "keyboard": ("computer keyboard", "typewriter keyboard"),
    "cell phone": ("cellular telephone",),
    "microwave": ("microwave",),
    "oven": ("stove", "rotisserie"),
    "toaster": ("toaster",),
    "sink": ("washbasin",),
    "refrigerator": ("refrigerator",),
    "book": ("book jacket",),
    "clock": ("analog clock", "digital clock", "wall clock"),
    "vase": ("vase",),
    "teddy bear": ("teddy",),
    "hair drier": ("hand blower",),
}
"""First names of ImageNet classes, or the first and the last of a range, by VOC's name if it has
one, else by COCO's."""

_COCO_NAMES = {
    "motorcycle": "motorbike",
    "airplane": "aeroplane",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
    "tv": "tvmonitor",
}


def imagenet_indices(class_names: tuple[str, ...]) -> list[tuple[int, ...]]:
    """The ImageNet classes that belong to each class of a data set.

    Args:
        class_names: of the data set: names or WordNet ids of ImageNet, or names of VOC or COCO.

    Returns:
        The indices for each class, in [0, 1000); an empty tuple where ImageNet has none.
    """
    known = imagenet.classes()
    place = {name: (index,) for index, name in enumerate(known.names)}
    place |= {wordnet_id: (index,) for wordnet_id, index in known.index_of.items()}
    if all(name in place for name in class_names):
        return [place[name] for name in class_names]
    return [_of_table(_COCO_NAMES.get(name, name), place.get(name, ())) for name in class_names]


def _of_table(name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    if name not in _TABLE:
        return otherwise
    # Where two classes have the same first name, such as crane, the first of them; none is here.
    first_names = [names.split(",")[0] for names in imagenet.classes().names]
    found: list[int] = []
    for entry in _TABLE[name]:
        ends = (entry, entry) if isinstance(entry, str) else entry
        start, stop = map(first_names.index, ends)
        found += range(start, stop + 1)
    return tuple(found)
