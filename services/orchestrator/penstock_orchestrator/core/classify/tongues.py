"""What shells, git, make, compilers and the C library say in the user's language, in the words of the C locale.

The rule of this room: an entry is a part of a sentence that stands in a tool's own catalogue of messages, and is replaced
where it stands. Words that ordinary prose has too stay as they are. German, French, Spanish, Italian, Portuguese, Russian,
Polish, Japanese and Chinese.
"""

# ruff: noqa: RUF001  (the signs of other scripts are the matter of this file)
from __future__ import annotations

import re
from typing import Final

# fmt: off
PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "fatal error: ": ("schwerwiegender Fehler: ", "erreur fatale: "),
    "fatal: ": ("Schwerwiegend: ", "致命错误: "),
    "Failed!  - Failed:": ("Fehler!      : Fehler:", "Échec!  - échec :"),
    "error: ": ("Fehler: ", "erreur: ", "errore: ", "erro: ", "ошибка: ", "エラー: ", "错误: ", "błąd: "),
    "warning: ": ("Warnung: ", "avertissement: ", "advertencia: ", "警告: "),
    "hint: ": ("Hinweis: ", "astuce: ", "ayuda: ", "提示: "),
    ": command not found": (
        ": Kommando nicht gefunden.", ": Befehl nicht gefunden.", " : commande introuvable", ": commande introuvable", ": orden no encontrada",
        ": comando non trovato", ": comando não encontrado", ": команда не найдена", ": nie znaleziono polecenia",
        ": コマンドが見つかりません", ": 未找到命令",
    ),
    "syntax error near": (
        "Syntaxfehler beim", "erreur de syntaxe près", "error sintáctico cerca", "errore di sintassi vicino",
        "erro de sintaxe próximo", "синтаксическая ошибка рядом", "błąd składni przy", "予期しないトークン", "未预期的记号",
    ),
    "syntax error: unexpected end of file": (
        "Syntaxfehler: Unerwartetes Dateiende", "erreur de syntaxe: fin de fichier prématurée", "error sintáctico: no se esperaba",
        "errore di sintassi: EOF non atteso", "erro de sintaxe: fim prematuro", "синтаксическая ошибка: неожиданный конец файла",
        "błąd składni: nieoczekiwany koniec pliku", "構文エラー: 予期しないファイル終了", "语法错误: 未预期的文件结束符",
    ),
    ": unbound variable": (
        " ist nicht gesetzt.", " : variable sans liaison", ": variable sans liaison", ": variable sin asignar", ": variabile non assegnata",
        ": variável não associada", ": не заданы границы переменной", ": nieustawiona zmienna", ": 未割り当ての変数です", ": 未绑定的变量",
    ),
    "No such file or directory": (
        "Datei oder Verzeichnis nicht gefunden", "Aucun fichier ou dossier de ce type", "No existe el fichero o el directorio",
        "No existe el archivo o el directorio", "File o directory non esistente", "Arquivo ou diretório inexistente",
        "Нет такого файла или каталога", "Nie ma takiego pliku ani katalogu", "そのようなファイルやディレクトリはありません", "没有那个文件或目录",
    ),
    "Permission denied": (
        "Keine Berechtigung", "Permission non accordée", "Permiso denegado", "Permesso negato", "Permissão negada",
        "Отказано в доступе", "Brak dostępu", "許可がありません", "权限不够",
    ),
    "No space left on device": (
        "Auf dem Gerät ist kein Speicherplatz mehr verfügbar", "Aucun espace disponible sur le périphérique",
        "No queda espacio en el dispositivo", "Spazio esaurito sul device", "Não há espaço disponível no dispositivo",
        "На устройстве не осталось свободного места", "Brak miejsca na urządzeniu", "デバイスに空き領域がありません", "设备上没有空间",
    ),
    "Address already in use": (
        "Die Adresse wird bereits verwendet", "Adresse déjà utilisée", "La dirección ya se está usando", "Indirizzo già in uso",
        "Endereço já em uso", "Адрес уже используется", "Adres jest już w użyciu", "アドレスは既に使用中です", "地址已在使用",
    ),
    "Connection refused": (
        "Verbindungsaufbau abgelehnt", "Connexion refusée", "Conexión rehusada", "Connessione rifiutata", "Conexão recusada",
        "В соединении отказано", "Połączenie odrzucone", "接続を拒否されました", "拒绝连接",
    ),
    "Connection timed out": (
        "Die Wartezeit für die Verbindung ist abgelaufen", "Connexion terminée par expiration du délai d'attente",
        "Expiró el tiempo de conexión", "Connessione scaduta", "Tempo esgotado para conexão",
        "Время ожидания соединения истекло", "Przekroczony czas oczekiwania na połączenie", "接続がタイムアウトしました", "连接超时",
    ),
    "Cannot allocate memory": (
        "Nicht genügend Hauptspeicher verfügbar", "Ne peut allouer de la mémoire", "No se pudo asignar memoria",
        "Impossibile allocare memoria", "Não foi possível alocar memória", "Невозможно выделить память",
        "Nie można przydzielić pamięci", "メモリを確保できません", "无法分配内存",
    ),
    "Read-only file system": (
        "Das Dateisystem ist nur lesbar", "Système de fichiers accessible en lecture seulement", "Sistema de ficheros de sólo lectura",
        "File system in sola lettura", "Sistema de arquivos somente para leitura", "Файловая система доступна только для чтения",
        "System plików wyłącznie do odczytu", "読み込み専用ファイルシステムです", "只读文件系统",
    ),
    "Too many open files": (
        "Zu viele offene Dateien", "Trop de fichiers ouverts", "Demasiados ficheros abiertos", "Troppi file aperti",
        "Muitos arquivos abertos", "Слишком много открытых файлов", "Za dużo otwartych plików", "ファイルを開きすぎです", "打开的文件过多",
    ),
    "Name or service not known": (
        "Der Name oder der Dienst ist nicht bekannt", "Nom ou service inconnu", "Nombre o servicio desconocido",
        "Nome o servizio sconosciuto", "Nome ou serviço desconhecido", "Неизвестное имя или служба",
        "Ta nazwa lub usługa jest nieznana", "名前またはサービスが不明です", "未知的名称或服务",
    ),
    "Temporary failure in name resolution": (
        "Temporärer Fehler bei der Namensauflösung", "Échec temporaire dans la résolution du nom",
        "Fallo temporal en la resolución del nombre", "Errore temporaneo nella risoluzione del nome",
        "Falha temporário na resolução de nome", "Временный сбой в разрешении имен", "Odwzorowanie nazwy jest chwilowo niemożliwe",
        "名前解決に一時的に失敗しました", "域名解析暂时失败",
    ),
    "Segmentation fault": (
        "Speicherzugriffsfehler", "Erreur de segmentation", "Violación de segmento", "Errore di segmentazione",
        "Falha de segmentação", "Ошибка сегментирования", "Naruszenie ochrony pamięci", "段错误",
    ),
    "No rule to make target": (
        "Keine Regel, um", "Keine Regel vorhanden, um das Ziel", "Aucune règle pour fabriquer la cible",
        "No hay ninguna regla para construir el objetivo", "Nessuna regola per generare l'obiettivo", "Sem regra para processar o alvo",
        "Нет правила для сборки цели", "Brak reguł do wykonania obiektu", "Brak reguł do zrobienia obiektu",
        "を make するルールがありません", "没有规则可制作目标",
    ),
    "missing separator": (
        "Fehlender Trenner", "fehlender Trenner", "séparateur manquant", "falta un separador", "separatore mancante",
        "faltando o separador", "faltando separador", "пропущен разделитель", "brakujący separator", "分離記号を欠いています", "缺失分隔符", "分隔符缺失",
    ),
    "] Error ": ("] Fehler ", "] Erreur ", "] Errore ", "] Erro ", "] Ошибка ", "] Błąd ", "] エラー ", "] 错误 "),
    ".  Stop.": (".  Schluss.", ". Arrêt.", ".  Alto.", ".  Arresto.", ".  Pare.", ".  Останов.", ". Stop.", ".  中止.", "。 停止。"),
    "undefined reference to": (
        "nicht definierter Verweis auf", "Nicht definierter Verweis auf", "référence indéfinie vers",
        "riferimento non definito a", "неопределённая ссылка на", "に対する定義されていない参照です", "未定义的引用",
    ),
    "cannot find -l": ("kann -l", "ne peut pas trouver -l", "no se puede encontrar -l", "impossibile trovare -l", "не удалось найти -l", "找不到 -l"),
    "CONFLICT (": ("KONFLIKT (", "CONFLIT (", "CONFLICTO (", "CONFLITTO (", "CONFLITO (", "КОНФЛИКТ (", "冲突("),
    "): Merge conflict in": (") : Conflit de fusion dans",),
    "Merge conflict in": (
        "Merge-Konflikt in", "Conflicto de fusión en", "conflitto di merge in", "Conflito de junção em",
        "Конфликт слияния в", "Konflikt scalania w", "合并冲突于",
    ),
    "Automatic merge failed; fix conflicts": (
        "Automatischer Merge fehlgeschlagen", "La fusion automatique a échoué", "Fusión automática falló", "Merge automatico fallito",
        "Junção automática falhou", "Сбой автоматического слияния", "Automatyczne scalanie nie powiodło się", "自动合并失败",
    ),
    "Exiting because of an unresolved conflict": (
        "Beende wegen unaufgelöstem Konflikt", "Abandon à cause de conflit non résolu", "Saliendo porque existe un conflicto sin resolver",
        "Esco a causa di un conflitto non risolto", "Saindo devido a conflito por resolver", "Выход из-за неразрешенного конфликта",
        "Wyjście z powodu nierozwiązanego konfliktu", "因为存在未解决的冲突而退出",
    ),
    "not a git repository": (
        "Kein Git-Repository", "ni ceci ni aucun de ses répertoires parents n'est un dépôt git", "no es un repositorio git",
        "é repositório git nenhum", "не найден git репозиторий", "to nie jest repozytorium gita", "不是 git 仓库",
    ),
    "nothing to commit, working tree clean": (
        "nichts zu committen, Arbeitsverzeichnis unverändert", "rien à valider, la copie de travail est propre",
        "nada para hacer commit, el árbol de trabajo está limpio", "non c'è nulla di cui eseguire il commit, l'albero di lavoro è pulito",
        "nada a memorizar, árvore-trabalho limpa", "нечего коммитить, нет изменений в рабочем каталоге",
        "nic do złożenia, drzewo robocze czyste", "无文件要提交，干净的工作区",
    ),
    "no changes added to commit": (
        "keine Änderungen zum Commit vorgemerkt", "aucune modification n'a été ajoutée à la validation", "sin cambios agregados al commit",
        "nessuna modifica aggiunta al commit", "индекс пуст", "brak zmian dodanych do zapisu", "修改尚未加入提交",
    ),
    "pathspec '": (
        "Pfadspezifikation '", "le spécificateur de chemin '", "ruta especificada '", "lo specificatore percorso '", "espetro-caminho '", "路径规格 '",
    ),
    "src refspec ": ("Src-Refspec ", "le spécificateur de référence source ", "espetro-ref src ", "源引用规格 "),
    "did not match any file(s) known to git": (
        "stimmt mit keinen Git bekannten Dateien überein", "ne correspond à aucun fichier connu de git",
        "no concordó con ningún archivo conocido por git", "non corrisponde ad alcun file noto a git", "未匹配任何 git 已知文件",
    ),
    "does not match any": ("entspricht keiner Referenz", "ne correspond à aucune référence", "no concuerda con ninguno", "ничему не соответствует", "没有匹配"),
    "failed to push some refs to": (
        "Fehler beim Versenden einiger Referenzen nach", "impossible de pousser des références vers", "falló el empuje de algunas referencias a",
        "push di alcuni riferimenti su", "falha ao atirar algumas refs para", "не удалось отправить некоторые ссылки в",
        "nie można wypchnąć niektórych referencji do", "无法推送一些引用到",
    ),
    "unable to access '": (
        "konnte nicht auf '", "impossible d'accéder à '", "no es posible acceder a '", "impossibile accedere a '", "incapaz aceder '", "无法访问 '",
    ),
    "Could not read from remote repository": (
        "Konnte nicht vom Remote-Repository lesen", "Impossible de lire le dépôt distant", "No se pudo leer del repositorio remoto",
        "Impossibile leggere dal repository remoto", "Incapaz de ler o repositório remoto", "Не удалось прочитать из внешнего репозитория",
        "Nie można czytać ze zdalnego repozytorium", "无法读取远程仓库",
    ),
    "Authentication failed for '": (
        "Authentifizierung fehlgeschlagen für '", "Échec d'authentification pour '", "Autenticación falló para '",
        "Autenticazione non riuscita per '", "Autenticação falhou para '",
    ),
    "Author identity unknown": (
        "Identität des Autors unbekannt", "Identité d'auteur inconnue", "Identidad del autor desconocido", "Identità autore sconosciuta",
        "作者身份未知", "Nieznana tożsamość autora",
    ),
    "[rejected]": ("[zurückgewiesen]", "[rejeté]", "[rechazado]", "[rifiutato]", "[rejeitado]", "[отклонено]", "[已拒绝]", "[odrzucono]"),
    "(non-fast-forward)": (
        "(kein Vorspulen)", "(pas en avance rapide)", "(avance no rápido)", "(non fast forward)", "(sem avanço)",
        "(без быстрой перемотки)", "(非快进)", "(nieprzewinięte)",
    ),
    "Your local changes to the following files would be overwritten": (
        "Ihre lokalen Änderungen in den folgenden Dateien würden", "Vos modifications locales aux fichiers suivants seraient écrasées",
        "Los cambios locales de los siguientes archivos serán", "Le tue modifiche locali ai seguenti file sarebbero sovrascritte",
        "Tuas alterações locais nos seguintes ficheiros seriam sobrescritas", "Ваши локальные изменения в указанных файлах будут перезаписаны",
        "您对下列文件的本地修改将被",
    ),
}
# fmt: on
_LINE: Final = re.compile(r"(?:Zeile|ligne|línea|riga|linha|строка|linia|行) (\d{1,6}) ?: |第 (\d{1,6}) 行: ")
_SIGNS: Final = (("\xa0:", ":"), ("\u202f:", ":"), ("：", ": "), ("（", "("), ("）", ")"), ("\xa0", " "))


def english(text: str) -> str:
    """`text` with what tools said in another language in English; what is not known stays as it is."""
    if text.isascii() and not any(phrase in text for phrase in _PLAIN):
        return text
    for sign, plain in _SIGNS:
        text = text.replace(sign, plain)
    for phrase, other in _LONGEST_FIRST:
        text = text.replace(other, phrase)
    return _LINE.sub(lambda found: f"line {found[1] or found[2]}: ", text)


_LONGEST_FIRST: Final = sorted(
    ((phrase, other) for phrase, others in PHRASES.items() for other in others), key=lambda pair: -len(pair[1])
)
"""So that no part of a sentence is replaced before the sentence."""
_PLAIN: Final = tuple(other for others in PHRASES.values() for other in others if other.isascii())
"""Those that can stand in a text that gives no other sign of its language."""
