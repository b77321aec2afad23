"""Which language is it?"""

from __future__ import annotations

import time
from typing import Any

import pytest

from truing import registry
from truing.errors import RecipeError
from truing.rewards.language import LANGUAGES, Language, detect, script_shares

# The first sentence of article 1 of the Universal Declaration of Human Rights, or the like.
TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter.",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder, og de er udstyret med fornuft.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Se on heille annettu.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi.",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama.",
    "sw": "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. Wote wamejaliwa akili na dhamiri.",
    "tl": "Ang lahat ng tao ay isinilang na malaya at pantay-pantay sa karangalan at mga karapatan.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум.",
    "sr": "Сва људска бића рађају се слободна и једнака у достојанству и правима.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا.",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "ur": "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "mr": "सर्व मानवी व्यक्ती जन्मतःच स्वतंत्र आहेत व त्यांना समान प्रतिष्ठा आणि अधिकार आहेत.",
    "ne": "सबै व्यक्ति जन्मजात स्वतन्त्र छन् र तिनीहरूको समान अधिकार र महत्त्व छ।",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι.",
    "he": "כל בני האדם נולדו בני חורין.",
    "bn": "সমস্ত মানুষ স্বাধীনভাবে জন্মগ্রহণ করে।",
    "pa": "ਸਾਰੇ ਮਨੁੱਖ ਆਜ਼ਾਦ ਪੈਦਾ ਹੁੰਦੇ ਹਨ।",
    "gu": "બધા માનવો મુક્ત જન્મે છે.",
    "ta": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "te": "మానవులందరూ స్వతంత్రంగా జన్మించారు.",
    "kn": "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿ ಜನಿಸಿದ್ದಾರೆ.",
    "ml": "മനുഷ്യരെല്ലാവരും സ്വതന്ത്രരായി ജനിച്ചവരാണ്.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระ",
    "ko": "모든 인간은 태어날 때부터 자유로우며 평등하다.",
    "ja": "すべての人間は、生まれながらにして自由である。",
    "zh": "人人生而自由,在尊严和权利上一律平等。",
    "ka": "ყველა ადამიანი იბადება თავისუფალი.",
    "hy": "Բոլոր մարդիկ ծնվում են ազատ։",
    "am": "የሰው ልጅ ሁሉ ሲወለድ ነጻ ነው።",
    "km": "មនុស្សទាំងអស់កើតមកមានសេរីភាព។",
    "my": "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် မွေးဖွားလာသူများ ဖြစ်သည်။",
    "si": "සියලු මනුෂ්‍යයෝ නිදහස්ව උපත ලබා ඇත.",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_sentence_is_told(code: str) -> None:
    assert detect(TEXTS[code]) == code
    assert detect(TEXTS[code].upper()) == code


@pytest.mark.parametrize("text", ["", "12 + 30 = 42", "!?", "Xyzzy plugh", "\U0001f600"])
def test_what_cannot_be_told_is_none(text: str) -> None:
    assert detect(text) is None


def test_the_shares_of_scripts_are_of_letters_alone() -> None:
    assert script_shares("abc 123, где?") == {"Latin": 0.5, "Cyrillic": 0.5}
    assert script_shares("123") == {}


def of(text: str, prompt: str = "", **settings: Any) -> float | None:
    return Language(**settings)([prompt], [text])[0]


def test_the_right_language_earns_its_share_of_the_letters() -> None:
    assert of(TEXTS["de"], language="de") == 1
    assert of(TEXTS["de"], language="fr") == 0
    # 53 Latin letters beside 16 Han characters
    mixed = "All human beings are born free and equal in dignity and rights. " + "人人生而自由在尊严和权利上一律"
    letters = sum(letter.isalpha() and letter.isascii() for letter in mixed)
    assert of(mixed, language="en") == pytest.approx(letters / (letters + 15))
    assert of("42", language="en") == 0


def test_the_prompt_may_say_the_language() -> None:
    assert of(TEXTS["fr"], TEXTS["fr"]) == 1
    assert of(TEXTS["en"], TEXTS["fr"]) == 0
    assert of(TEXTS["en"], "2 + 2 = ?") is None
    turns = [[{"role": "user", "content": TEXTS["de"]}]]
    assert Language()(["whatever a template makes of it"], [TEXTS["de"]], messages=turns) == [1]


def test_a_thought_may_be_in_another_language_unless_it_is_read_too() -> None:
    text = f"<think>{TEXTS['zh']}</think>{TEXTS['en']}"
    assert of(text, language="en") == 1
    share = of(text, language="en", thought=True)
    assert share is not None
    assert 0 < share < 1


def test_a_language_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(RecipeError, match="language 'xx' is not one that can be told"):
        Language(language="xx")


def test_its_description_lists_the_languages() -> None:
    told = " ".join((registry.reward["language"].function.__doc__ or "").split()).partition("Told apart: ")[2]
    assert told == ", ".join(LANGUAGES) + "."


@pytest.mark.parametrize("text", ["a ", "я", "中", "का", " ", "é\u0301", "और ", "\u200c"])
def test_a_hundred_thousand_characters_are_read_in_no_time(text: str) -> None:
    start = time.process_time()
    detect(text * (100_000 // len(text)))
    assert time.process_time() - start < 1
