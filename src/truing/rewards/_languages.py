"""What `language.py` knows of languages: scripts, common words and letters that few others have.

Common words are function words (articles, pronouns, prepositions, conjunctions, forms of "to be"), which every text of
some length is full of. Of languages with a script of their own nothing more needs to be known.
"""

from __future__ import annotations

__all__ = ["LETTERS", "SCRIPTS", "SCRIPT_LANGUAGES", "WORDS"]

SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "Latin": ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
    "Cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F)),
    "Arabic": ((0x620, 0x64A), (0x66E, 0x6D3), (0x6FA, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC)),
    "Devanagari": ((0x900, 0x963), (0x970, 0x97F)),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Hebrew": ((0x5D0, 0x5F2),),
    "Bengali": ((0x980, 0x9FF),),
    "Gurmukhi": ((0xA00, 0xA7F),),
    "Gujarati": ((0xA80, 0xAFF),),
    "Tamil": ((0xB80, 0xBFF),),
    "Telugu": ((0xC00, 0xC7F),),
    "Kannada": ((0xC80, 0xCFF),),
    "Malayalam": ((0xD00, 0xD7F),),
    "Sinhala": ((0xD80, 0xDFF),),
    "Thai": ((0xE00, 0xE7F),),
    "Khmer": ((0x1780, 0x17FF),),
    "Myanmar": ((0x1000, 0x109F),),
    "Georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF)),
    "Armenian": ((0x530, 0x58F),),
    "Ethiopic": ((0x1200, 0x139F),),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    "Kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),
    "Han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)),
}
"""Code points, first and last."""

SCRIPT_LANGUAGES = {
    "Greek": "el", "Hebrew": "he", "Bengali": "bn", "Gurmukhi": "pa", "Gujarati": "gu", "Tamil": "ta", "Telugu": "te",
    "Kannada": "kn", "Malayalam": "ml", "Sinhala": "si", "Thai": "th", "Khmer": "km", "Myanmar": "my", "Georgian": "ka",
    "Armenian": "hy", "Ethiopic": "am", "Hangul": "ko", "Kana": "ja", "Han": "zh",
}  # fmt: skip
"""The language that is written in a script that no other of ours is written in."""

WORDS: dict[str, dict[str, str]] = {
    "Latin": {
        "en": "the of and to in is that it for on with as was be by this are or from at an have not you which but they "
        "his has had her their there were been if can will would all what when your my we he she who how i a do does",
        "de": "der die das und ist nicht ein eine zu den mit von auf für im dem des sich auch es an werden aus er wie "
        "wir sie ich aber hat bei einen einem einer sind noch nach nur war wird oder kann um so haben wenn mehr zum",
        "fr": "le la les des et est un une du en que qui dans pour pas sur au par avec ne se ce il elle sont plus nous "
        "vous je mais ou cette ces son sa ses aux comme été être fait leur tout on même très aussi d l c n qu",
        "es": "el la los las de y que en un una es por con no para se del su al lo como más pero sus le ya o este sí "
        "porque esta son entre está cuando muy sin sobre también me hasta hay donde quien desde nos fue ser",
        "pt": "o a os as de e que do da em um uma é para com não por mais dos das no na se como mas ao ele seu sua ou "
        "quando muito nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos são foi você",
        "it": "il lo la i gli le di e che è un una per con non del della in si come da al più dei delle nel ma sono "
        "questo anche ha alla o se ci mi io tu lui lei quando molto essere perché sul nella degli dal dalla c l",
        "nl": "de het een en van is dat op te in zijn met voor niet aan er om als ook maar bij nog uit naar heeft door "
        "wordt over kan dit deze worden wat ik je we ze hij geen of zo tot hun dan meer was had moet",
        "sv": "och att det som en på är av för med den till inte om ett han men var jag sig så från vi kan när de har "
        "eller ska ni nu också du man där efter bara detta vid hade alla mot upp mycket än skulle vara",
        "da": "og at det som en på er af for med den til ikke om et han men var jeg sig så fra vi kan når de har eller "
        "skal nu også du man der efter kun dette ved havde alle mod op meget end skulle være blev hvad hvor af",
        "fi": "ja on ei se että oli ovat ole kun mutta hän kuin myös niin jos tai ne joka mitä jo sen vain voi minä "
        "sinä me te tämä nyt sitten koska olla en et hyvin kanssa mukaan sekä ollut jotka jonka siitä tässä hänen",
        "pl": "i w na z do się nie że to jest o jak za od po ale co dla przez tak może być są już jego lub oraz przy "
        "tylko który która które jej ich ma czy jako też był była bardzo gdy tego tym ja ty my on ona",
        "cs": "a v na se je že to s z do o i k ve pro za by ale jako nebo jsou po od při jsem byl jak tak který která "
        "které jeho má může co už ze které být bude není jen také až podle mezi když kdy než si jej",
        "ro": "și în de la cu pe un o este nu că să din care pentru mai a sunt prin fi dar ca lui sau ce după ale au "
        "fost acest aceasta foarte între până când el ea noi voi sau ei sa",
        "hu": "a az és hogy nem is egy van meg de ez ha csak már volt mint ki el még kell azt vagy én ezt fel lehet "
        "nagyon be minden mert itt lesz majd ami sem után szerint között akkor",
        "tr": "ve bir bu da de için ile çok olarak daha ne o gibi en ama kadar sonra her değil var olan ya ben mi ki "
        "ise veya olduğu tarafından sen biz siz onlar şey yok nasıl göre bütün hiç",
        "vi": "và của là có không được cho trong một các với này những người đã để từ đó khi về như cũng tôi ra vào "
        "thì bạn nhiều đến lại sẽ phải hay rất nếu chúng nó hoặc",
        "id": "yang dan di dari untuk dengan ini itu tidak pada adalah ke dalam akan atau juga saya anda kami kita "
        "mereka oleh sebagai bisa dapat ada lebih telah seperti karena kepada dia sudah bahwa agar namun",
        "sw": "ya na wa kwa ni katika za la cha kuwa hii hiyo kama yake lakini pia au hizo huu sana yako wangu mimi "
        "wewe sisi wao yeye kutoka ili kwamba bado baada kila hakuna watu mtu vya wakati zaidi",
        "tl": "ang ng sa na ay mga at si ko mo hindi para ito kung ni nang may siya ako ka kami tayo sila niya namin "
        "pero dahil din rin po lang ba isang",
    },
    "Cyrillic": {
        "ru": "и в не на я что он с как это по но они мы она так его за был из то все у же от бы для о к до вы ты или "
        "если только её уже может при чтобы есть быть были очень когда где этого также который",
        "uk": "і в не на я що він з як це по але вони ми вона так його за був із то все у ж від б для про до ви ти або "
        "якщо тільки її вже може при щоб є бути були дуже коли де цього також який та й",
        "bg": "и в не на аз че той с как това по но те ние тя така за беше от то все до вие ти или ако само вече може "
        "при да е са се ще си много кога къде което също който които му съм сме ли",
        "sr": "и у не на ја да он са као то по али они ми она је за био од се до ви ти или ако само већ може при су би "
        "што врло када где који која које такође смо сам",
    },
    "Arabic": {
        "ar": "في من على إلى أن هذا هذه التي الذي لا ما مع عن كان هو هي أو ذلك كل بعد قد لم بين كما إذا ثم حتى أنا أنت "
        "نحن هم وقد ولا وهو غير عند لكن هناك أي",
        "fa": "و در به از که این را با است برای آن یک خود تا بر هم نیز می ما او شما من آنها اما یا هر اگر باید شد بود "
        "کند شود دارد کرد های ها نیست هستند",
        "ur": "کے کی میں ہے اور سے کا کو اس یہ نے پر ہیں کہ ایک بھی تو نہیں ہو وہ جو کر تھا گیا لیے آپ ہم ساتھ یا اپنے "
        "تھے تھی ان بہت کیا ہوتا جاتا",
    },
    "Devanagari": {
        "hi": "के है में की से को और का हैं पर यह ने एक कि भी नहीं था तो हो जो इस कर या आप हम वह लिए साथ अपने थे थी कुछ "
        "बहुत मैं मेरे गया किया होता रहा",
        "mr": "आहे आणि या च्या ते ही हे तो ती आहेत नाही एक मध्ये की पण होते होता झाला केले असे साठी त्या मी तुम्ही आम्ही आपण "
        "होती काही केला करून असून किंवा खूप तर",
        "ne": "छ र को मा लाई पनि यो हो छन् भने एक ले गर्न हुन् गरेको थियो त्यो म तपाईं हामी भएको तर वा गर्ने छैन भयो नै "
        "आफ्नो यस लागि हुन्छ धेरै गर्छ",
    },
}  # fmt: skip
"""By script, for languages that share it."""

LETTERS: dict[str, str] = {
    "de": "ß", "es": "ñ¿¡", "pt": "ãõ", "da": "øæ", "pl": "łżźśćńęą", "cs": "řůěčž", "ro": "țășţâ",
    "hu": "őű", "tr": "ığş", "vi": "đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỷỹ", "fr": "œçêèùî", "it": "ìò",
    "ru": "ыэё", "uk": "іїєґ", "sr": "јљњћђџ", "fa": "پچژگ", "ur": "ٹڈڑںےہھ", "ar": "ةىكي", "mr": "ळ",
}  # fmt: skip
"""Letters that tell a language from the others of its script (a few have some of them too)."""
