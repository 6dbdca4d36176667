"""Strings that broke somebody: SQL, markup, paths, templates, other scripts; catalogue B18."""

SQL = tuple(
    text.format(q=quote)
    for quote in ("'", '"', "''", "\\'", "%27", "ʼ", "$$", "`")
    for text in (
        "{q}",
        "{q} OR 1=1 --",
        "{q}; DROP TABLE cim.building; --",
        "{q} UNION SELECT digest FROM cim.api_key --",
        "{q}) OR (1=1",
        "{q}||pg_sleep(5)||{q}",
        "{q}; SELECT pg_sleep(5); --",
        "{q} AND 1=CAST((SELECT version()) AS int) --",
        "1{q} ORDER BY 1000 --",
        "{q}/**/OR/**/1=1",
        "x{q} AND (SELECT 1 FROM (SELECT pg_sleep(5)) AS t) = {q}1",
        "{q} COLLATE nosuch",
        "E{q}\\047",
        "U&{q}\\0027{q}",
        "{q}::int",
        "{q} = ANY(ARRAY[1])",
        "{q}; COPY cim.building TO PROGRAM {q}id{q}; --",
        "{q} LIKE {q}%{q} ESCAPE {q}",
    )
)

OTHER = (
    "$1", "$2::text", "{}", "{0}", "%s",
    "%(x)s", "%%", ":name", "?", "--", "/*", "*/", ";", "\\", "\\\\", "\\x00", "..", "../..", "....//",
    "/etc/passwd", "C:\\", "<script>alert(1)</script>", "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7 %>", "null",
    "NULL", "undefined", "NaN", "true",
    "-0", "1e309", "0x10", "١٢٣", "１２３", "ﷺ", "😀", "‮abc", "e\u0301", "İ", "ß", "a" * 1900, "'" * 500, "(" * 500, "[" * 500, "%" * 300,
    "buildings;areas", "cim.building", "id", "geom", "ST_Area(geom)", "count(*)", "pg_sleep(5)", "current_user", "*", "1;1", "1,1", "a&b",
)  # fmt: skip

ALL = SQL + OTHER
