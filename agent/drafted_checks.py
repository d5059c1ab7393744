"""Drafts checks for a typed goal: the files that it names as outputs must be written and parse.

Whether a file that the goal names is an output is read off the words around it: "write ... to
a.txt" is one, "read a.txt" and "the rows of a.txt" are not. English and Chinese words are known; in
any other language a file that is not there yet counts as an output. Not covered: folders, and names
that the goal leaves open ("one file for each city").
"""

import re

from agent.check_specs import Check, FileCheck, FileSpec
from agent.file_kinds import KNOWN_ENDINGS
from agent.mentions import mentioned_files
from tools.errors import ToolError
from tools.workspace import Workspace

MAX_DRAFTED = 10

_VERBS = {
    word: kind
    for kind, words in {
        "make": "write writes writing written create creates creating make makes produce produces"
        " generate generates compose draft build record add adds",
        "store": "save saves saving saved store stores stored export exports output put dump log"
        " print",
        "edit": "edit update fix overwrite correct modify change append appends insert replace"
        " extend",
        "turn": "convert turn transform translate copy sort filter extract split merge join combine"
        " summarize summarise reformat rename move clean deduplicate label classify",
        "look": "read reads open load count compare check look list find use using tell show answer"
        " explain describe analyze analyse validate search inspect review see take parse examine"
        " train given delete remove",
    }.items()
    for word in words.split()
}
_LINKS = {
    word: kind
    for kind, words in {
        "target": "to into as named called onto",
        "in": "in under inside",
        "source": "from of using with about for than through between by at on against based per via"
        " like within",
    }.items()
    for word in words.split()
}
_NOT = frozenset(("not", "never", "without", "don't", "cannot", "avoid"))
_ARTICLES = frozenset(("a", "an", "the", "this", "that", "each", "every", "its", "their"))

_ZH_TARGET = re.compile(
    r"(?:写|寫|记录|記錄|追加|添加|输出|輸出|导出|匯出|放|填|保存|儲存|存储|存放|另存|存)"
    r"(?:入到|进到|入|进|進|到|为|為|在|成|至|出)?"
    r"|(?:转换|轉換|转|轉|翻译|翻譯|整理|合并|合併|重命名|命名|复制|複製|移动|移動)(?:到|为|為|成|至)"
    r"|生成|产生|產生|创建|創建|建立|新建|制作|製作|更新|修改|覆盖|覆蓋|改写|改寫"
)
_ZH_SOURCE = re.compile(
    "读取|讀取|阅读|閱讀|读|讀|打开|打開|开启|開啟|查看|查找|检查|檢查|根据|根據|按照|参考|參考"
    "|依据|依據|使用|利用|从|從|把|将|將|对|對|用|看|删除|刪除|列出|计算|計算"
)
_ZH_EITHER = re.compile(
    "统计|統計|分析|总结|總結|汇总|匯總|比较|比較|翻译|翻譯|合并|合併|转换|轉換"
)
"""Verbs that are also nouns: after "write" they say what is written, else what is read."""
_ZH_HOLDS = re.compile(r"[\"'`”’」』》\s]*(?:文件|檔案)?(?:中|里|裡|内|內)?的")
"""After a name: "a.csv 的", what belongs to the file, so the file is read."""
_ZH_WRITTEN_IN = re.compile(
    r"[\"'`”’」』》\s]*(?:文件|檔案)?(?:中|里|裡|内|內)(?:写|寫|保存|儲存|记录|記錄|追加|添加)"
)
_ZH_NOT = re.compile("(?:不要|不得|不可|不能|别|別|勿|禁止|无需|無需)[^，,。]{0,3}$")
_HAN = re.compile("[\u4e00-\u9fff]")

_SENTENCE_END = re.compile(r"[.!?;](?=\s)|[。！？；\n]")
_OTHER = "\u00a4"
"""Stands where another file's name was."""
_WORD = re.compile(rf"[A-Za-z]+(?:['\u2019]t)?|{_OTHER}")


def draft_checks(goal: str, workspace: Workspace) -> list[Check]:
    """One `file` check for each output that the goal names, at most `MAX_DRAFTED`."""
    names = output_files(goal, workspace)[:MAX_DRAFTED]
    return [FileCheck(file=FileSpec(path=name)) for name in names]


def output_files(goal: str, workspace: Workspace) -> list[str]:
    """The files that the goal asks to write, in the order named."""
    names = mentioned_files(goal)
    found: list[str] = []
    for name in names:
        try:
            path = workspace.relative(name)
            exists = workspace.exists(path)
        except ToolError:
            continue  # not a name in this workspace, so nothing can be written there
        if not exists and not _is_file_name(path):
            continue
        places = _around(goal, name, names)
        if path not in found and any(_is_output(*place, exists) for place in places):
            found.append(path)
    return found


def _is_file_name(path: str) -> bool:
    """Rather than a web host or an abbreviation."""
    return path.rpartition(".")[2].lower() in KNOWN_ENDINGS or "/" in path


def _around(goal: str, name: str, names: list[str]) -> list[tuple[str, str]]:
    """For each place of the name: its sentence before it, without other names, and what follows."""
    places: list[tuple[str, str]] = []
    for match in re.finditer(rf"(?<![\w/]){re.escape(name)}", goal):
        before = goal[: match.start()]
        for other in sorted(names, key=len, reverse=True):
            before = before.replace(other, _OTHER)
        places.append((_SENTENCE_END.split(before)[-1], goal[match.end() :]))
    return places


def _is_output(before: str, after: str, exists: bool) -> bool:
    if _HAN.search(before) or _ZH_WRITTEN_IN.match(after):
        said = _chinese_says(before, after)
        if said is not None:
            return said
    return _english_says(before, exists)


def _chinese_says(before: str, after: str) -> bool | None:
    """Whether the words ask to write the file; None where they say nothing."""
    if _ZH_WRITTEN_IN.match(after):
        return _ZH_NOT.search(before) is None
    if _ZH_HOLDS.match(after):
        return False
    target = _last(_ZH_TARGET, before)
    source = _last(_ZH_SOURCE, before)
    either = _last(_ZH_EITHER, before)
    if either is not None:
        start = target.end() if target else 0
        is_noun = target is not None and not re.search("[，,、]", before[start : either.start()])
        if not is_noun and (source is None or either.end() > source.end()):
            source = either
    if target is None:
        return None if source is None else False
    if source is not None and source.end() > target.end():
        return False
    return _ZH_NOT.search(before[: target.start()]) is None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def _english_says(before: str, exists: bool) -> bool:
    """By the last verb before the name, and the last preposition after that verb."""
    verb = link = word = ""
    negated = False
    words = [found.lower().replace("\u2019", "'") for found in _WORD.findall(before)]
    for i, current in enumerate(words):
        kind = _VERBS.get(current, "")
        if kind and not (verb and i and words[i - 1] in _ARTICLES):  # "write the count": a noun
            verb, link, word = kind, "", current
            negated = not _NOT.isdisjoint(words[max(0, i - 3) : i])
        elif current in _LINKS:
            link = _LINKS[current]
        elif current == _OTHER and verb == "turn" and exists:
            link = ""  # "convert a to b and c": c is the next one to convert
    if negated or link == "source" or word == "compare":
        return False
    if verb == "edit":
        return True
    if verb in ("make", "store"):
        return not (link == "in" and exists and verb == "make")
    if verb == "turn":
        return link == "target" or (link == "in" and not exists)
    if verb == "look":
        return link == "target" and not exists
    return not exists  # no word that we know: a language of its own, or "result.txt: ..."
