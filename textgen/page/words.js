// Every word that the page shows: in English, in Russian, in Macedonian.
const WORDS = {
  "space": ["space", "пробел", "празно"],
  "of": ["{0} of {1}", "{0} из {1}", "{0} од {1}"],
  "surprise": ["surprise", "удивление", "изненада"],
  "about surprise": ["what each character cost", "сколько стоил каждый символ", "колку чинеше секој знак"],
  "influence": ["influence", "влияние", "влијание"],
  "about influence": ["how much each character moved the prediction at the character pointed at", "насколько каждый символ изменил предсказание в выбранном месте", "колку секој знак го поместил предвидувањето кај избраниот знак"],
  "model": ["Model", "Модель", "Модел"],
  "colour by quantity": ["Colours show", "Цвет:", "Боите:"],
  "making": ["Writing", "Письмо", "Пишување"],
  "lead": ["This page holds a small network that has learned to guess what comes next in a text. Type, press Write on, hold the forget gate shut while it writes, and compare.", "На этой странице живёт маленькая сеть, которая научилась угадывать продолжение текста. Напечатайте что-нибудь, нажмите «Писать дальше», закройте вентиль забывания, пока она пишет, и сравните.", "На оваа страница живее мала мрежа што научила да погодува како продолжува текстот. Напишете нешто, притиснете „Пиши понатаму“, затворете ја портата за заборавање додека пишува и споредете."],
  "lead neuron": ["This page holds a small network that has learned to guess what comes next in a text. Type, press Write on, hold a neuron by hand while it writes, and compare.", "На этой странице живёт маленькая сеть, которая научилась угадывать продолжение текста. Напечатайте что-нибудь, нажмите «Писать дальше», удержите нейрон, пока она пишет, и сравните.", "На оваа страница живее мала мрежа што научила да погодува како продолжува текстот. Напишете нешто, притиснете „Пиши понатаму“, држете неврон додека пишува и споредете."],
  "typed waits": ["The written text stays until you press Write on or Another text.", "Написанное останется, пока вы не нажмёте «Писать дальше» или «Другой текст».", "Напишаното останува додека не притиснете „Пиши понатаму“ или „Друг текст“."],
  "hold waits": ["This acts from the end of the text: press Write on.", "Это подействует с конца текста: нажмите «Писать дальше».", "Ова ќе дејствува од крајот на текстот: притиснете „Пиши понатаму“."],
  "unknown character": ["the network does not know this letter", "сеть не знает этой буквы", "мрежата не ја знае оваа буква"],
  "unknown token": ["the network does not know this word", "сеть не знает этого слова", "мрежата не го знае овој збор"],
  "computing": ["computing…", "вычисляется…", "се пресметува…"],
  "after stop": ["after Stop", "после «Стоп»", "по „Стоп“"],
  "about cell": ["What a neuron keeps in memory from letter to letter.", "Что нейрон помнит от буквы к букве.", "Што памети невронот од буква до буква."],
  "about hidden": ["What a neuron passes on.", "Что нейрон передаёт дальше.", "Што предава невронот понатаму."],
  "about gate": ["How much a gate lets through: 0 is shut, 1 is open.", "Сколько пропускает вентиль: 0 — закрыт, 1 — открыт.", "Колку пропушта портата: 0 е затворена, 1 е отворена."],
  "about candidate": ["What a neuron could take into its memory here.", "Что нейрон мог бы здесь запомнить.", "Што би можел невронот тука да запамети."],
  "about sd": ["sd is a standard deviation: how far from the neuron's mean in this text, as a multiple of its usual distance.", "sd — стандартное отклонение: насколько далеко от среднего нейрона в этом тексте, в обычных для него отклонениях.", "sd е стандардно отстапување: колку е далеку од просекот на невронот во овој текст, во негови вообичаени отстапувања."],
  "about bits": ["Bits measure surprise: 0 was certain, 1 was a guess of one in two, each bit more halves the chance.", "Биты измеряют удивление: 0 — наверняка, 1 — шанс один из двух, каждый следующий бит делит шанс пополам.", "Битовите мерат изненада: 0 е сигурно, 1 е шанса една од две, секој следен бит ја преполовува шансата."],
  "your text": ["Your text", "Ваш текст", "Вашиот текст"],
  "type here": ["Type here", "Пишите здесь", "Пишувајте тука"],
  "write on": ["Write on", "Писать дальше", "Пиши понатаму"],
  "stop": ["Stop", "Стоп", "Стоп"],
  "again": ["Another text", "Другой текст", "Друг текст"],
  "take": ["Edit the whole text", "Править весь текст", "Уреди го целиот текст"],
  "more": ["Settings", "Настройки", "Поставки"],
  "speed": ["Speed", "Скорость", "Брзина"],
  "speed slow": ["to read along", "чтобы читать", "за читање"],
  "speed fast": ["as fast as it goes", "как можно быстрее", "што побрзо"],
  "temperature": ["Boldness (temperature)", "Смелость (температура)", "Смелост (температура)"],
  "top-p": ["Only the likeliest (top-p)", "Только вероятные (top-p)", "Само најверојатните (top-p)"],
  "seed": ["Number of the text (seed)", "Номер текста (seed)", "Број на текстот (seed)"],
  "holds": ["Hold by hand", "Удержать рукой", "Држи со рака"],
  "hold gate": ["Hold", "Удержать", "Држи"],
  "which gate": ["Which gate", "Какой вентиль", "Која порта"],
  "which layer": ["Which layer", "Какой слой", "Кој слој"],
  "all layers": ["all layers", "все слои", "сите слоеви"],
  "layer": ["layer {0}", "слой {0}", "слој {0}"],
  "shut": ["shut 0", "закрыт 0", "затворена 0"],
  "open": ["open 1", "открыт 1", "отворена 1"],
  "hold neuron": ["Hold neuron {0} ({1})", "Удержать нейрон {0} ({1})", "Држи го невронот {0} ({1})"],
  "value of": ["{0}: value", "{0}: значение", "{0}: вредност"],
  "hold at": ["{0}: hold at {1}", "{0}: удержать на {1}", "{0}: држи на {1}"],
  "with hold": ["With the hold", "С удержанием", "Со држењето"],
  "let go": ["The hold is let go", "Удержание снято", "Држењето е пуштено"],
  "without hold": ["Without the hold", "Без удержания", "Без држењето"],
  "inside": ["Look into neuron {0} at this character", "Внутри нейрона {0} на этом символе", "Внатре во невронот {0} кај овој знак"],
  "by hand": ["held by hand", "удержано рукой", "држено со рака"],
  "moved": ["Show what moved this prediction", "Что повлияло на предсказание", "Што влијаело на предвидувањето"],
  "ended": ["The text ended here.", "Текст здесь закончился.", "Текстот тука заврши."],
  "written": ["Written: {0}", "Написано: {0}", "Напишано: {0}"],
  "neurons": ["Neurons", "Нейроны", "Неврони"],
  "done": ["Done", "Готово", "Готово"],
  "search": ["0:17, or a word of its note", "0:17 или слово из заметки", "0:17 или збор од белешката"],
  "search by": ["Search neurons by layer:unit, quantity or note", "Поиск нейронов: слой:номер, величина или заметка", "Барање неврони: слој:број, величина или белешка"],
  "sort by": ["Sort by", "Порядок", "Редослед"],
  "widest spread": ["widest spread", "больше разброс", "поголемо отстапување"],
  "narrowest spread": ["narrowest spread", "меньше разброс", "помало отстапување"],
  "highest mean": ["highest mean", "больше среднее", "поголем просек"],
  "lowest mean": ["lowest mean", "меньше среднее", "помал просек"],
  "layer and unit": ["layer and unit", "слой и номер", "слој и број"],
  "list of neurons": ["Neurons; Enter colours the text by one", "Нейроны; Enter раскрашивает текст", "Неврони; Enter го бои текстот"],
  "nothing found": ["Nothing of that name.", "Ничего не найдено.", "Ништо не е најдено."],
  "the text": ["The text; arrow keys move from character to character", "Текст; стрелки ведут от символа к символу", "Текст; стрелките водат од знак до знак"],
  "reading": ["The text", "Текст", "Текст"],
  "panel": ["The character pointed at", "Выбранный символ", "Избраниот знак"],
  "hint": ["Point at a character, or press Tab until the text is reached and move with the arrow keys.", "Наведите указатель на символ или дойдите до текста клавишей Tab и двигайтесь стрелками.", "Покажете на знак, или со Tab дојдете до текстот и движете се со стрелките."],
  "value label": ["value", "значение", "вредност"],
  "cost": ["cost", "цена", "цена"],
  "most likely next": ["Most likely next", "Вероятнее всего дальше", "Најверојатно следно"],
  "furthest": ["Furthest from mean", "Дальше всех от среднего", "Најдалеку од просекот"],
  "character of": ["character {0} of {1}", "символ {0} из {1}", "знак {0} од {1}"],
  "token of": ["token {0} of {1}", "слово {0} из {1}", "збор {0} од {1}"],
  "line": ["line {0}, {1}", "строка {0}, {1}", "ред {0}, {1}"],
  "bits": ["{0} bits", "{0} бит", "{0} бита"],
  "came": ["This is what came.", "Так и вышло.", "Токму тоа дојде."],
  "colour by": ["Colour the text by {0}", "Раскрасить текст нейроном {0}", "Обој го текстот според {0}"],
  "say character": ["{0}, character {1}; {2}; {3} bits; next: {4}", "{0}, символ {1}; {2}; {3} бит; дальше: {4}", "{0}, знак {1}; {2}; {3} бита; следно: {4}"],
  "say token": ["{0}, token {1}; {2}; {3} bits; next: {4}", "{0}, слово {1}; {2}; {3} бит; дальше: {4}", "{0}, збор {1}; {2}; {3} бита; следно: {4}"],
  "colours the text": ["{0} colours the text", "текст раскрашен: {0}", "текстот е обоен: {0}"],
  "figures": ["mean {0}, sd {1}, from {2} to {3}", "среднее {0}, sd {1}, от {2} до {3}", "просек {0}, sd {1}, од {2} до {3}"],
  "light": ["Light", "Светлая", "Светла"],
  "dark": ["Dark", "Тёмная", "Темна"],
  "to light": ["Switch to light colours", "Светлые цвета", "Светли бои"],
  "to dark": ["Switch to dark colours", "Тёмные цвета", "Темни бои"],
  "large": ["Large", "Крупно", "Крупно"],
  "language": ["Language", "Язык", "Јазик"],
  "key search": ["search", "поиск", "барање"],
  "key list": ["move in the list", "по списку", "по списокот"],
  "key colour": ["colour the text", "раскрасить текст", "обој го текстот"],
  "key neuron": ["next and previous neuron", "следующий и предыдущий нейрон", "следен и претходен неврон"],
  "key tab": ["into the text", "в текст", "во текстот"],
  "key arrows": ["move in it", "по тексту", "по текстот"],
  "key leave": ["leave", "выйти", "излез"],
  "quantity cell": ["cell", "состояние ячейки", "состојба на ќелијата"],
  "quantity hidden": ["hidden", "выход", "излез"],
  "quantity input-gate": ["input gate", "входной вентиль", "порта за влез"],
  "quantity forget-gate": ["forget gate", "вентиль забывания", "порта за заборавање"],
  "quantity output-gate": ["output gate", "выходной вентиль", "порта за излез"],
  "quantity reset-gate": ["reset gate", "вентиль сброса", "порта за бришење"],
  "quantity update-gate": ["update gate", "вентиль обновления", "порта за обновување"],
  "quantity depth-gate": ["depth gate", "вентиль глубины", "порта за длабочина"],
  "quantity candidate": ["candidate", "кандидат", "кандидат"]
};

const LANGUAGES = [["en", "English"], ["ru", "Русский"], ["mk", "Македонски"]];
const codes = LANGUAGES.map(([code]) => code);
let language =
  navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((code) => codes.includes(code)) ?? "en";

// The words of a key; each value stands where its number does.
function word(key, ...values) {
  return WORDS[key][codes.indexOf(language)].replace(/\{(\d)\}/g, (_, number) => values[number]);
}
const wordIfAny = (key, otherwise) => (Object.hasOwn(WORDS, key) ? word(key) : otherwise);

function speak(code) {
  language = code;
}

// Elements of the page's HTML say by `data-word`, `data-label`, `data-hint` and `data-about` which words they have.
function labelAll() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
  }
  for (const element of document.querySelectorAll("[data-about]")) element.title = word(element.dataset.about);
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = word(element.dataset.hint);
}
