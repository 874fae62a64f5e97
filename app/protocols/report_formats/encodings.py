"""The encodings of XML documents by the labels that are in use (WHATWG Encoding Standard §4.2)."""

import re
from collections.abc import Mapping
from functools import cache

_IGNORED = re.compile(r"[-_: ]")

# Python's codecs with their labels, without ``-``, ``_``, ``:`` and in lower case. A codec is the
# one that browsers use: ISO 8859-1 is read as windows-1252, and GB2312 as GB18030.
_LABELS = """
utf-8           utf8 unicode11utf8 unicode20utf8 xunicode20utf8 cp65001
utf-16-le       utf16 utf16le ucs2 iso10646ucs2 unicode unicodefeff csunicode
utf-16-be       utf16be unicodefffe
windows-1252    ansix3.41968 ascii usascii cp819 csisolatin1 ibm819 iso88591 iso885911987 isoir100
windows-1252    l1 latin1 cp1252 windows1252 xcp1252 ansi win1252 cp01252
iso8859-2       iso88592 iso885921987 isoir101 l2 latin2 csisolatin2
iso8859-3       iso88593 iso885931988 isoir109 l3 latin3 csisolatin3
iso8859-4       iso88594 iso885941988 isoir110 l4 latin4 csisolatin4
iso8859-5       iso88595 iso885951988 isoir144 cyrillic csisolatincyrillic
iso8859-6       iso88596 iso885961987 isoir127 arabic ecma114 asmo708 csisolatinarabic iso88596e
iso8859-6       iso88596i csiso88596e csiso88596i
iso8859-7       iso88597 iso885971987 isoir126 greek greek8 ecma118 elot928 csisolatingreek
iso8859-7       suneugreek
iso8859-8       iso88598 iso885981988 isoir138 hebrew visual csisolatinhebrew csiso88598e iso88598e
iso8859-8       csiso88598i iso88598i logical
windows-1254    iso88599 iso885991989 isoir148 l5 latin5 csisolatin5 cp1254 windows1254 xcp1254
iso8859-10      iso885910 isoir157 l6 latin6 csisolatin6
cp874           iso885911 tis620 dos874 windows874 cp874
iso8859-13      iso885913
iso8859-14      iso885914
iso8859-15      iso885915 csisolatin9 l9 latin9
iso8859-16      iso885916
koi8-r          koi8r koi koi8 cskoi8r
koi8-u          koi8u koi8ru
mac-roman       macintosh mac xmacroman csmacintosh
mac-cyrillic    xmaccyrillic xmacukrainian
cp866           ibm866 866 cp866 csibm866
windows-1250    cp1250 windows1250 xcp1250
windows-1251    cp1251 windows1251 xcp1251 win1251
windows-1253    cp1253 windows1253 xcp1253
windows-1255    cp1255 windows1255 xcp1255
windows-1256    cp1256 windows1256 xcp1256
windows-1257    cp1257 windows1257 xcp1257
windows-1258    cp1258 windows1258 xcp1258
gb18030         gb18030 gbk gb2312 gb231280 chinese csgb2312 csiso58gb231280 isoir58 xgbk
gb18030         cp936 ms936
gb18030         euccn
hz              hzgb2312
big5hkscs       big5 big5hkscs cnbig5 csbig5 xxbig5 cp950
euc-jp          eucjp xeucjp cseucpkdfmtjapanese
iso2022-jp      iso2022jp csiso2022jp
cp932           shiftjis sjis xsjis ms932 mskanji windows31j csshiftjis cp932
cp949           euckr korean ksc5601 ksc56011987 ksc56011989 isoir149 cseuckr csksc56011987
cp949           windows949
cp949           cp949 ksc5601
iso2022-kr      iso2022kr csiso2022kr
"""


def codec(label: str) -> str | None:
    """Python's name of the encoding with this label; None if there is no such encoding."""
    return _codecs().get(_IGNORED.sub("", label.lower()))


@cache
def _codecs() -> Mapping[str, str]:
    lines = (line.split() for line in _LABELS.strip().splitlines())
    return {label: name for name, *labels in lines for label in labels}
