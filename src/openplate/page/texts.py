"""A language in, every text of the page in it out. A text that one language has and another has not is a fault that mypy finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ru"]


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of the page in one language. Those with braces are for `str.format`, with the names that stand in them."""

    language: str

    # Pages
    photo: str
    cameras: str
    search: str
    lists: str
    register: str
    charts: str

    # Signing in, and what can go wrong
    sign_in: str
    sign_in_why: str
    key: str
    key_help: str
    key_unknown: str
    sign_out: str
    no_service: str
    no_service_help: str
    not_allowed: str
    failed: str
    refusals: tuple[tuple[str, str], ...]
    refusal_words: tuple[tuple[str, str], ...]
    again: str

    # A picture
    drop: str
    drop_help: str
    paste: str
    paste_none: str
    take: str
    take_help: str
    choose: str
    choose_limit: str
    take_now: str
    take_again: str
    countries: str
    countries_help: str
    reading: str
    no_plates: str
    one_plate: str
    more_plates: str
    without_text: str
    without_text_why: str
    unreadable: str
    unreadable_why: str
    reason_no_text: str
    reason_none_allowed: str
    reason_unsure: str
    reason_small: str
    reasons: tuple[tuple[str, str], ...]
    confidence: str
    characters_help: str
    candidates: str
    text: str
    probability: str
    format: str
    country: str
    in_register: str
    not_in_register: str
    milliseconds: str
    only_first_frame: str

    # Sightings
    no_sightings: str
    seen: str
    camera: str
    camera_help: str
    status: str
    read: str
    half_read: str
    directions: tuple[tuple[str, str], ...]
    parked: str
    evidence: str
    picture_frame: str
    picture_crop: str
    no_picture: str
    match: str

    # Cameras
    no_cameras: str
    states: tuple[tuple[str, str], ...]
    faulty: str
    start: str
    stop: str
    change: str
    add_camera: str
    name: str
    source: str
    source_help: str
    fps: str
    dropped: str
    restarts: str
    last_frame: str
    last_error: str
    no_frame: str
    last_sightings: str
    manage: str
    remove_sure: str
    exists: str
    start_at_once: str
    only_name: str

    # Search
    plate: str
    plate_help: str
    plate_help_hashed: str
    how: str
    how_contains: str
    how_exact: str
    how_wildcard: str
    how_fuzzy: str
    edits: str
    min_confidence: str
    since: str
    until: str
    times_are: str
    any_camera: str
    any_list: str
    any_country: str
    any_status: str
    date_format: str
    date_parts: tuple[tuple[str, str], ...]
    order: str
    order_time: str
    order_match: str
    find: str
    filters: str
    found: str
    more: str
    newest: str
    download_csv: str

    # Lists and register
    no_lists: str
    list: str
    new_list: str
    kind: str
    kind_help: str
    list_kinds: tuple[tuple[str, str], ...]
    note: str
    list_min_match: str
    keep_days: str
    keep_days_help: str
    save: str
    saved: str
    nothing_changed: str
    create: str
    pattern: str
    pattern_help: str
    entry_kind: str
    entry_kinds: tuple[tuple[str, str], ...]
    valid_from: str
    valid_until: str
    edit_help: str
    delete_list: str
    delete_sure: str
    list_settings: str
    make: str
    model: str
    colour: str
    owner: str
    permit_until: str
    permit_help: str
    permit_over: str
    import_csv: str
    import_help: str
    imported: str
    import_faults: str
    row_faults: tuple[tuple[str, str], ...]
    line: str
    reason: str
    ignored_columns: str
    find_plate: str
    next_page: str
    first_page: str
    hashed: str

    # Charts
    by_hour: str
    by_hour_of_day: str
    by_camera: str
    by_list: str
    period: str
    periods: tuple[tuple[str, str], ...]
    hour: str
    number: str
    in_utc: str

    def direction_of(self, direction: str) -> str:
        """What the page calls a direction; one that it does not know stays as it is."""
        return dict(self.directions).get(direction, direction)

    def refusal_of(self, status: int) -> str:
        """What the page says of a refusal with this HTTP status."""
        known = dict(self.refusals)
        return known.get(str(status)) or known["500" if status >= 500 else "400"]

    def kind_of(self, kind: str) -> str:
        """What the page calls a list's kind; a word of the user's stays as it is."""
        return dict(self.list_kinds).get(kind, kind)

    def state_of(self, state: str) -> str:
        """What the page calls a camera's state; one that it does not know stays as it is."""
        return dict(self.states).get(state, state)


ENGLISH = Texts(
    language="Language",
    photo="Picture",
    cameras="Cameras",
    search="Search",
    lists="Lists",
    register="Register",
    charts="Charts",
    sign_in="Sign in",
    sign_in_why="This service needs an API key. Whoever runs it can give you one.",
    key="API key",
    key_help="It is kept for this browser tab alone, and sent to the service only.",
    key_unknown="The service does not know this key, or it was revoked.",
    sign_out="Sign out",
    no_service="The service at {server} does not answer.",
    no_service_help="Start it with `openplate serve`, or check the address: `openplate page --server URL`.",
    not_allowed="Your key may not do this.",
    failed="The service refused: {reason}",
    refusals=(
        ("400", "it does not understand what was sent"),
        ("404", "this is not there any more"),
        ("408", "it took too long to arrive"),
        ("409", "this does not fit what is there now"),
        ("413", "this is too large"),
        ("422", "something in it is wrong"),
        ("503", "it is busy now; try again in a moment"),
        ("500", "it failed; whoever runs it finds the reason in its log"),
    ),
    refusal_words=(
        ("cut", "the {kind} picture is cut, its end is missing; copy it again"),
        ("damaged", "the {kind} picture is cut or damaged; copy it again"),
        ("empty", "the file is empty; copy it again"),
        ("no_picture", "this is no picture; save it as {kinds} or {last}"),
        ("small", "a picture has at least {least} px on each side, this one has {width} × {height}; take a larger one"),
        ("large", "a picture has at most {most} pixels, this one has {width} × {height}; save it smaller"),
        ("frames", "a file has at most {most} pictures, this one has more; split it"),
        ("bytes", "a picture has at most {most} bytes, this one has more; save it smaller"),
        ("waiting", "too many pictures wait"),
        ("country", "country {code} is not known; codes are RU, DE and the like"),
        ("short", "for look-alikes a plate needs at least {least} characters, this is {plate}; search for a part of it"),
        ("character", "{character} is neither a letter nor a digit: {plate}"),
        ("length", "a plate has 1 to {most} characters, this is {plate}"),
        ("long", "a plate has at most {most} characters, these are {got}"),
        ("entry_wildcard", "{plate} has wildcards, a plate has none; choose the kind pattern for it"),
        ("wildcard", "{plate} has wildcards; search for it as a pattern"),
        ("hashed", "only hashes of plates are kept: search for a whole plate, exactly"),
        ("entry_hashed", "only hashes of plates are kept: an entry is a whole plate, this is {plate}"),
        ("regex", "{pattern} is no regular expression that can be used: {reason}"),
        ("validity", "{plate}: it ends before it begins"),
        ("list_exists", "there is a list {name} already; take another name"),
        ("list_word", "expected letters, digits, blanks, _ and -, beginning with a letter or a digit; this is {word}"),
        ("camera_name", "a camera's name has letters a-z, digits, - and _, and begins with a letter or a digit; this is {name}"),
        ("name_long", "a name has at most {most} characters, this one has {got}"),
        ("role", "your key has the role {has}, this needs the role {needed}"),
        ("columns", "the first line needs the column plate, and none twice; this is: {got}"),
        ("utf8", "the file is not in UTF-8; save it as CSV UTF-8"),
    ),
    again="Try again",
    drop="Drop a picture, choose one, or paste it with Ctrl+V",
    drop_help="JPEG, PNG, WebP, BMP, TIFF or GIF. A phone offers its camera here too.",
    paste="Paste from the clipboard",
    paste_none="There is no picture in the clipboard.",
    take="Photograph",
    take_help="The browser asks for the camera. It gives it to pages with https and to this computer alone.",
    choose="Choose a file",
    choose_limit="or drop it here, up to {megabytes} MB",
    take_now="Take the photo",
    take_again="Take another one",
    countries="Countries to expect",
    countries_help="Codes such as RU or DE. It makes texts surer; plates of other countries are read as well.",
    reading="Reading",
    no_plates="No plate was found.",
    one_plate="1 plate",
    more_plates="{number} plates",
    without_text="Places without a text: {number}",
    without_text_why="Something here looked a little like a plate. Most often it is none.",
    unreadable="Unreadable",
    unreadable_why="Why: {reason}",
    reason_no_text="no text was found",
    reason_none_allowed="no text that only {only} allows was found",
    reason_unsure="confidence {confidence} is under {least}",
    reason_small="the plate is small ({width} × {height} px)",
    reasons=(
        ("no_format", "the text fits no plate format"),
        ("unsure", "the confidence is too low"),
        ("disagreeing", "the looks disagree"),
        ("one_look", "it was seen once only"),
        ("static", "it never moved"),
        ("unexpected", "no plate expected here has this text, and it is not clearly detected"),
        ("too_small", "the plate is small"),
        ("blurred", "the plate is blurred"),
    ),
    confidence="Confidence",
    characters_help="The figure under a character is the probability in per cent that it is right.",
    candidates="Candidates",
    text="Text",
    probability="Probability",
    format="Format",
    country="Country",
    in_register="In the register",
    not_in_register="Not in the register",
    milliseconds="{width} × {height} px, {total:.0f} ms on {engine}",
    only_first_frame="The file has {number} pictures; the first one is shown.",
    no_sightings="No sightings yet.",
    seen="Seen",
    camera="Camera",
    camera_help="None chosen: all cameras.",
    status="Status",
    read="read",
    half_read="unreadable",
    directions=(("approaching", "approaching"), ("receding", "receding"), ("across", "across"), ("still", "standing")),
    parked="parked",
    evidence="Evidence",
    picture_frame="The whole picture",
    picture_crop="The plate",
    no_picture="no picture",
    match="Match",
    no_cameras="There is no camera yet. Add one below.",
    states=(
        ("running", "running"),
        ("starting", "starting"),
        ("connecting", "connecting"),
        ("restarting", "restarting"),
        ("stopped", "stopped"),
        ("ended", "ended"),
    ),
    faulty="faulty",
    start="Start",
    stop="Stop",
    change="Change",
    add_camera="Add a camera",
    name="Name",
    source="Address",
    source_help="rtsp://user:password@10.0.0.5/stream1, a video file on the service's computer, or the number of a webcam",
    fps="Frames/s",
    dropped="Dropped",
    restarts="Restarts",
    last_frame="Last frame",
    last_error="Last error: {error}",
    no_frame="No picture now",
    last_sightings="Last sightings",
    manage="Manage cameras",
    remove_sure="Yes, remove {name}; its sightings stay",
    exists="There is a camera of this name already.",
    start_at_once="Watch it at once",
    only_name="Letters a-z, digits, - and _",
    plate="Plate",
    plate_help="Empty: all plates.",
    plate_help_hashed="The whole plate: only hashes of plates are kept. Empty: all plates.",
    how="How",
    how_contains="a part of it",
    how_exact="exactly",
    how_wildcard="pattern: * ? @ #",
    how_fuzzy="look-alikes too",
    edits="Wrong characters",
    min_confidence="Least confidence",
    since="From",
    until="Until",
    times_are="Times are UTC.",
    any_camera="any",
    any_list="any",
    any_country="any",
    any_status="any",
    date_format="YYYY-MM-DD",
    date_parts=(("year", "yyyy"), ("month", "mm"), ("day", "dd")),
    order="Order",
    order_time="newest first",
    order_match="surest first",
    find="Search",
    filters="Filters and order",
    found="{number} found",
    more="More",
    newest="The newest",
    download_csv="Download CSV",
    no_lists="There is no list yet. Make one below.",
    list="List",
    new_list="New list",
    kind="Kind",
    kind_help="allow, watch, block, or a word of yours",
    list_kinds=(("allow", "allow"), ("watch", "watch"), ("block", "block")),
    note="Note",
    list_min_match="Counts from a probability of",
    keep_days="Keep sightings for days",
    keep_days_help="Empty: as long as others.",
    save="Save",
    saved="Saved.",
    nothing_changed="Nothing was changed.",
    create="Create",
    pattern="Plate or pattern",
    pattern_help="A plate; a pattern with * ? @ (letter) # (digit); or a regular expression",
    entry_kind="Kind",
    entry_kinds=(("plate", "plate"), ("wildcard", "pattern"), ("regex", "regular expression")),
    valid_from="From",
    valid_until="Until",
    edit_help="Type into the table, add rows at its end, delete marked rows, then save.",
    delete_list="Delete this list",
    delete_sure="Yes, delete {name} and its entries",
    list_settings="Settings of the list",
    make="Make",
    model="Model",
    colour="Colour",
    owner="Owner",
    permit_until="Permit until",
    permit_help="The last minute in which the permit holds, in UTC.",
    permit_over="permit is over, it was valid until {when}",
    import_csv="Import CSV",
    import_help="Columns: plate, make, model, colour, owner, permit until. Only plate is needed.",
    imported="{added} added, {updated} updated, {unchanged} as they were.",
    import_faults="{number} rows were not imported.",
    row_faults=(
        ("cells", "the first line has {expected} cells, this one {got}"),
        ("empty", "the plate is missing"),
        ("twice", "plate {plate} is in line {line} already"),
        ("character", "{character} is neither a letter nor a digit: {plate}"),
        ("length", "a plate has 1 to {most} characters, this is {plate}"),
        ("wildcard", "a plate has no wildcards: {plate}"),
        ("date", "permit_until: a date is written as 2027-03-31 or 31.03.2027, this is {typed}"),
        ("zone", "permit_until: the time zone is missing, write it as in {example}; this is {typed}"),
        ("long", "{column}: at most {most} characters, these are {got}"),
    ),
    line="Line",
    reason="Reason",
    ignored_columns="Columns that the register does not have: {columns}",
    find_plate="Find a plate",
    next_page="Next page",
    first_page="First page",
    hashed="hashed",
    by_hour="Sightings by time",
    by_hour_of_day="Sightings by hour of the day",
    by_camera="Sightings by camera",
    by_list="Sightings by list",
    period="Period",
    periods=(("day", "24 hours"), ("week", "7 days"), ("month", "30 days"), ("year", "a year")),
    hour="Hour",
    number="Sightings",
    in_utc="UTC",
)

RUSSIAN = Texts(
    language="Язык",
    photo="Снимок",
    cameras="Камеры",
    search="Поиск",
    lists="Списки",
    register="Реестр",
    charts="Графики",
    sign_in="Войти",
    sign_in_why="Сервису нужен ключ API. Его выдаёт тот, кто ведёт сервис.",
    key="Ключ API",
    key_help="Он хранится только для этой вкладки и отправляется только сервису.",
    key_unknown="Сервис не знает этого ключа, или ключ отозван.",
    sign_out="Выйти",
    no_service="Сервис {server} не отвечает.",
    no_service_help="Запустите его командой `openplate serve` или проверьте адрес: `openplate page --server URL`.",
    not_allowed="Ваш ключ этого не позволяет.",
    failed="Сервис отказал: {reason}",
    refusals=(
        ("400", "запрос не понят"),
        ("404", "этого здесь уже нет"),
        ("408", "данные шли слишком долго"),
        ("409", "это не сочетается с тем, что есть сейчас"),
        ("413", "это слишком велико"),
        ("422", "в присланном что-то неверно"),
        ("503", "он сейчас занят; попробуйте чуть позже"),
        ("500", "у него сбой; причина — в его журнале"),
    ),
    refusal_words=(
        ("cut", "снимок {kind} обрезан, конца нет; скопируйте его заново"),
        ("damaged", "снимок {kind} обрезан или повреждён; скопируйте его заново"),
        ("empty", "файл пуст; скопируйте его заново"),
        ("no_picture", "это не снимок; сохраните его как {kinds} или {last}"),
        ("small", "у снимка не меньше {least} пикс. по каждой стороне, а здесь {width} × {height}; возьмите снимок побольше"),
        ("large", "в снимке не больше {most} пикселей, а здесь {width} × {height}; сохраните его поменьше"),
        ("frames", "в файле не больше {most} снимков, а здесь больше; разделите файл"),
        ("bytes", "в снимке не больше {most} байт, а здесь больше; сохраните его поменьше"),
        ("waiting", "слишком много снимков в очереди"),
        ("country", "страна {code} неизвестна; коды — RU, DE и подобные"),
        ("short", "для поиска похожих в номере нужно не меньше {least} знаков, а здесь {plate}; ищите часть номера"),
        ("character", "{character} — не буква и не цифра: {plate}"),
        ("length", "в номере от 1 до {most} знаков, а здесь {plate}"),
        ("long", "в номере не больше {most} знаков, а здесь {got}"),
        ("entry_wildcard", "в {plate} есть подстановочные знаки, в номере их не бывает; выберите вид «шаблон»"),
        ("wildcard", "в {plate} есть подстановочные знаки; ищите его как шаблон"),
        ("hashed", "хранятся только хеши номеров: ищите номер целиком, точно"),
        ("entry_hashed", "хранятся только хеши номеров: запись — номер целиком, а здесь {plate}"),
        ("regex", "регулярное выражение {pattern} не годится: {reason}"),
        ("validity", "{plate}: конец раньше начала"),
        ("list_exists", "список {name} уже есть; возьмите другое имя"),
        ("list_word", "можно буквы, цифры, пробелы, _ и -, первой — буква или цифра; а здесь {word}"),
        ("camera_name", "в имени камеры латинские буквы, цифры, - и _, первой — буква или цифра; а здесь {name}"),
        ("name_long", "в имени не больше {most} знаков, а здесь {got}"),
        ("role", "у вашего ключа роль {has}, а нужна роль {needed}"),
        ("columns", "в первой строке нужен столбец plate и ни одного дважды; а здесь: {got}"),
        ("utf8", "файл не в UTF-8; сохраните его как CSV UTF-8"),
    ),
    again="Ещё раз",
    drop="Перетащите снимок, выберите файл или вставьте его: Ctrl+V",
    drop_help="JPEG, PNG, WebP, BMP, TIFF или GIF. Телефон предложит здесь и свою камеру.",
    paste="Вставить из буфера обмена",
    paste_none="В буфере обмена нет снимка.",
    take="Сфотографировать",
    take_help="Браузер спросит разрешения. Камеру он даёт только страницам с https и этому компьютеру.",
    choose="Выбрать файл",
    choose_limit="или перетащите его сюда, до {megabytes} МБ",
    take_now="Снять",
    take_again="Снять ещё раз",
    countries="Ожидаемые страны",
    countries_help="Коды, например RU или DE. Тексты становятся надёжнее; номера других стран тоже читаются.",
    reading="Чтение",
    no_plates="Номеров не найдено.",
    one_plate="1 номер",
    more_plates="Номеров: {number}",
    without_text="Места без текста: {number}",
    without_text_why="Что-то здесь слегка похоже на номер. Чаще всего это не номер.",
    unreadable="Не прочитан",
    unreadable_why="Причина: {reason}",
    reason_no_text="текст не найден",
    reason_none_allowed="не найден текст, допустимый при выборе только {only}",
    reason_unsure="уверенность {confidence} ниже {least}",
    reason_small="номер мал ({width} × {height} пикс.)",
    reasons=(
        ("no_format", "текст не подходит ни к одному формату номеров"),
        ("unsure", "уверенность слишком мала"),
        ("disagreeing", "кадры читаются по-разному"),
        ("one_look", "номер виден лишь однажды"),
        ("static", "номер ни разу не сдвинулся"),
        ("unexpected", "такого номера здесь не ждут, и виден он нечётко"),
        ("too_small", "номер мал"),
        ("blurred", "номер размыт"),
    ),
    confidence="Уверенность",
    characters_help="Число под знаком — вероятность в процентах, что он прочитан верно.",
    candidates="Варианты",
    text="Текст",
    probability="Вероятность",
    format="Формат",
    country="Страна",
    in_register="В реестре",
    not_in_register="В реестре нет",
    milliseconds="{width} × {height} пикс., {total:.0f} мс, {engine}",
    only_first_frame="В файле несколько снимков ({number}); показан первый.",
    no_sightings="Проездов пока нет.",
    seen="Время",
    camera="Камера",
    camera_help="Не выбрано — все камеры.",
    status="Состояние",
    read="прочитан",
    half_read="не прочитан",
    directions=(("approaching", "приближается"), ("receding", "удаляется"), ("across", "поперёк"), ("still", "стоит")),
    parked="на стоянке",
    evidence="Снимки",
    picture_frame="Весь кадр",
    picture_crop="Номер",
    no_picture="нет снимка",
    match="Совпадение",
    no_cameras="Камер пока нет. Добавьте первую ниже.",
    states=(
        ("running", "работает"),
        ("starting", "запускается"),
        ("connecting", "подключается"),
        ("restarting", "перезапускается"),
        ("stopped", "остановлена"),
        ("ended", "запись закончилась"),
    ),
    faulty="неисправна",
    start="Запустить",
    stop="Остановить",
    change="Изменить",
    add_camera="Добавить камеру",
    name="Имя",
    source="Адрес",
    source_help="rtsp://user:password@10.0.0.5/stream1, видеофайл на компьютере сервиса или номер веб-камеры",
    fps="Кадров/с",
    dropped="Пропущено",
    restarts="Перезапусков",
    last_frame="Последний кадр",
    last_error="Последняя ошибка: {error}",
    no_frame="Сейчас кадра нет",
    last_sightings="Последние проезды",
    manage="Управление камерами",
    remove_sure="Да, удалить {name}; её проезды останутся",
    exists="Камера с таким именем уже есть.",
    start_at_once="Сразу запустить",
    only_name="Латинские буквы, цифры, - и _",
    plate="Номер",
    plate_help="Пусто — все номера.",
    plate_help_hashed="Номер целиком: хранятся только хеши номеров. Пусто — все номера.",
    how="Как искать",
    how_contains="часть номера",
    how_exact="точно",
    how_wildcard="шаблон: * ? @ #",
    how_fuzzy="и похожие",
    edits="Ошибочных знаков",
    min_confidence="Уверенность не ниже",
    since="С",
    until="По",
    times_are="Время — UTC.",
    any_camera="любая",
    any_list="любой",
    any_country="любая",
    any_status="любое",
    date_format="DD.MM.YYYY",
    date_parts=(("year", "гггг"), ("month", "мм"), ("day", "дд")),
    order="Порядок",
    order_time="сначала новые",
    order_match="сначала вероятные",
    find="Найти",
    filters="Фильтры и порядок",
    found="Найдено: {number}",
    more="Ещё",
    newest="Новейшие",
    download_csv="Скачать CSV",
    no_lists="Списков пока нет. Создайте первый ниже.",
    list="Список",
    new_list="Новый список",
    kind="Вид",
    kind_help="пропуск, наблюдение, запрет или своё слово",
    list_kinds=(("allow", "пропуск"), ("watch", "наблюдение"), ("block", "запрет")),
    note="Заметка",
    list_min_match="Считать с вероятности",
    keep_days="Хранить проезды, дней",
    keep_days_help="Пусто — как остальные.",
    save="Сохранить",
    saved="Сохранено.",
    nothing_changed="Изменений нет.",
    create="Создать",
    pattern="Номер или шаблон",
    pattern_help="Номер; шаблон со знаками * ? @ (буква) # (цифра); или регулярное выражение",
    entry_kind="Вид",
    entry_kinds=(("plate", "номер"), ("wildcard", "шаблон"), ("regex", "регулярное выражение")),
    valid_from="С",
    valid_until="По",
    edit_help="Правьте таблицу, добавляйте строки в конце, удаляйте отмеченные, затем сохраните.",
    delete_list="Удалить этот список",
    delete_sure="Да, удалить {name} со всеми записями",
    list_settings="Настройки списка",
    make="Марка",
    model="Модель",
    colour="Цвет",
    owner="Владелец",
    permit_until="Пропуск до",
    permit_help="Последняя минута, когда пропуск ещё действует, UTC.",
    permit_over="пропуск истёк, действовал по {when}",
    import_csv="Загрузить CSV",
    import_help="Столбцы: plate, make, model, colour, owner, permit until. Обязателен только plate.",
    imported="Добавлено: {added}, обновлено: {updated}, без изменений: {unchanged}.",
    import_faults="Не загружено строк: {number}.",
    row_faults=(
        ("cells", "в первой строке ячеек: {expected}, в этой: {got}"),
        ("empty", "нет номера"),
        ("twice", "номер {plate} уже есть в строке {line}"),
        ("character", "{character} — не буква и не цифра: {plate}"),
        ("length", "в номере от 1 до {most} знаков, а здесь {plate}"),
        ("wildcard", "в номере не бывает подстановочных знаков: {plate}"),
        ("date", "permit_until: дата пишется как 2027-03-31 или 31.03.2027, а здесь {typed}"),
        ("zone", "permit_until: нет часового пояса, нужно как {example}, а здесь {typed}"),
        ("long", "{column}: не больше {most} знаков, а здесь {got}"),
    ),
    line="Строка",
    reason="Причина",
    ignored_columns="Столбцы, которых в реестре нет: {columns}",
    find_plate="Найти номер",
    next_page="Следующая страница",
    first_page="Первая страница",
    hashed="хеш",
    by_hour="Проезды по времени",
    by_hour_of_day="Проезды по часам суток",
    by_camera="Проезды по камерам",
    by_list="Проезды по спискам",
    period="Период",
    periods=(("day", "24 часа"), ("week", "7 дней"), ("month", "30 дней"), ("year", "год")),
    hour="Час",
    number="Проезды",
    in_utc="UTC",
)

TEXTS: dict[Language, Texts] = {"en": ENGLISH, "ru": RUSSIAN}


def preferred(locale: str | None) -> Language:
    """The language for a browser's locale, such as "ru-RU": Russian where it is asked for, else English."""
    return "ru" if (locale or "").lower().partition("-")[0] == "ru" else "en"
