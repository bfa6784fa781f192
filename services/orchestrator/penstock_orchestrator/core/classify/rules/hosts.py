"""What the host refuses: commands, disk, memory, ports, names, certificates, versions.

The rule of this room: a shell or a runtime says these things in a form of its own. The bare words prove nothing, since tests
and logs speak of them all the time.
"""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import Rule, likely, sure

# Forms in which a program's last words stand before the reason: a shell's, Python's, Node's, Java's, Go's, make's, npm's.
_SAYS: Final = (
    r"^(?:E +)?(?:[\w./+\[\]-]{1,80}: )*+(?:\[?(?:ERROR|error|fatal|FATAL|Error|panic)\]?:? ?|npm (?:ERR!|error) |gyp ERR! "
    r"|Caused by: |cause: |Uncaught |curl: \(\d+\) |(?:[\w.]+\.)?(?:\w*Error|\w*Exception|\w*Refused|errno)(?: \[\w+\])?: "
    r"|> |go: |\d{4}[/-]\d\d[/-]\d\d[T ][\d:.,]+ |\w+\([^()]{0,80}\): |[Ff]ailed to \w[^:]{0,100}: |[Cc]ould ?n[o']t \w[^:]{0,100}: |[Cc]annot \w[^:]{0,100}: )*+"
)


def _said(error_class: str, tool: str, reason: str, *, unless: str = "", yields_to: tuple[str, ...] = ()) -> Rule:
    """`reason` at the end of somebody's "program: place: " words."""
    return sure(error_class, tool, rf"{_SAYS}(?P<what>{reason})", unless=unless, yields_to=yields_to)


_COMMANDS: Final = (
    sure("env.command_missing", "bash", r"^(?:[\w./+-]*(?:ba|z|da|k|a)?sh|[^\s:]+(?:\.sh)?|[^\s:]{1,200}): (?:line \d+: |\d+: )?(?P<what>[^\s:]+: (?:command )?not found)$"),
    sure("env.command_missing", "zsh", r"^(zsh|\S*/zsh|\S+):(\d+:)? (?P<what>command not found: \S+)"),
    sure("env.command_missing", "fish", r"^fish: (?P<what>(Unknown command|No command).*)"),
    sure("env.command_missing", "busybox", r"^(?P<what>\S+: applet not found)"),
    sure("env.command_missing", "env", r"^(/usr/bin/)?env: (?P<what>[‘'\"]?.+[’'\"]?: No such file or directory)"),
    sure("env.command_missing", "bash", r"^\S*(bash|sh|zsh|dash)?: (line \d+: |\d+: )?(?P<what>\S+: (bad interpreter|cannot execute: required file not found).*)"),
    sure("env.command_missing", "bash", r"^(\S*bash|sh|\S*/sh): (line \d+: )?(\d+: )?(exec: )?(?P<what>(\./|/)\S+: (No such file or directory|not found))$"),
    sure("env.command_missing", "windows", r"^'?(?P<what>'?[^']+' is not recognized as an internal or external command)"),
    sure("env.command_missing", "powershell", r"^.*?(?P<what>The term '.+' is not recognized as the name of a cmdlet)"),
    sure("env.command_missing", "make", r"^\S*make(\[\d+\])?: (?P<what>[^\s:*]+: (No such file or directory|Command not found))$"),
    sure("env.command_missing", "xargs", r"^(xargs|time|nohup|timeout|nice|sudo|watch|entr|parallel|strace|stdbuf|setsid|flock|find|exec|script|direnv|dotenv|nodemon|cross-env|tini|\[tini\]|unshare|chroot): ((failed to (run|execute|exec) command |cannot run command |exec )?[‘'`\"]?(?P<what>[^\s’'\"]+)[’'\"]?): (No such file or directory|command not found|not found)"),
    sure("env.command_missing", "python", r"^(E +)?FileNotFoundError: \[Errno 2\] No such file or directory: (?P<what>'[\w+-]+')$", also=r"subprocess\.py|_execute_child", yields_to=("test.failed",)),
    sure("env.command_missing", "node", r"^(.*Error: )?(?P<what>spawn \S+ ENOENT)", yields_to=("test.failed",)),
    sure("env.command_missing", "go", r"^.*?(?P<what>exec: \"[^\"]+\": executable file not found in \$?%?PATH%?)"),
    sure("env.command_missing", "java", r"^.*?(?P<what>Cannot run program \"[^\"]+\".*error=2, No such file or directory)"),
    sure("env.command_missing", "java", r"^ERROR: JAVA_HOME is (?P<what>(not set and no 'java' command could be found|set to an invalid directory).*)"),
    sure("env.command_missing", "cargo", r"^error: (?P<what>no such (command|subcommand): `.+`)"),
    sure("env.command_missing", "rust", r"^error: (?P<what>'cargo-\S+' is not installed for the toolchain)|^error: (?P<note>linker `\S+` not found)"),
    sure("env.command_missing", "npx", r"^npm (ERR!|error) (?P<what>(npx canceled due to missing packages|could not determine executable to run).*)"),
    sure("env.command_missing", "yarn", r"^(?P<what>Command \"\S+\" not found)|^Usage Error: (?P<note>Couldn't find a script or binary named .+)|^command not found: (?P<name>\S+)$", yields_to=("deps.script_missing",)),
    sure("env.command_missing", "pnpm", r"^\s*ERR_PNPM_RECURSIVE_EXEC_FIRST_FAIL\s+(?P<what>Command \"\S+\" not found)|^\s*(?P<note>Command \"\S+\" not found)$", yields_to=("deps.script_missing",)),
    sure("env.command_missing", "poetry", r"^(?P<what>Command not found: \S+)|^error: Failed to spawn: `?(?P<name>[^`]+)`?$"),
    sure("env.command_missing", "docker", r"^.*OCI runtime (create|exec) failed: .*exec: \"(?P<what>[^\"]+)\": (executable file not found|stat .* no such file)"),
    sure("env.command_missing", "perl", r"^Can't exec \"(?P<what>[^\"]+)\": No such file"),
    sure("env.command_missing", "dotnet", r"^.*?(?P<what>(You misspelled a built-in dotnet command|Could not execute because the specified command or file was not found|Run \"dotnet tool restore\" to make)"r".*)"),
    sure("env.command_missing", "ruby", r"^.*?(?P<what>No such file or directory - [\w-]+ \(Errno::ENOENT\))|^(?P<note>bundler: command not found: \S+)"),
    sure("env.command_missing", "java", r"^(?P<what>.*(JAVA_HOME is not (set|defined correctly)|Unable to locate a Java Runtime|Perhaps you are running on a JRE).*)"),
    sure("env.command_missing", "nix", r"^(The program '(?P<what>\S+)' is (currently )?not (in your PATH|installed)|Command '(?P<name>\S+)' not found, but can be installed)"),
    sure("env.command_missing", "cmake", r"^CMake Error: CMake was unable to find a build program|^ *No CMAKE_\w+_COMPILER could be found"),
    sure("env.command_missing", "tox", r"^.*(InvocationError.*could not find executable|failed with (?P<what>\S+) \(could not find executable|is not allowed, use allowlist_externals)"),
)

_SPACE: Final = (
    _said("env.disk_full", "host", r"(OSError: )?\[Errno 28\] No space left on device.*", yields_to=("test.failed",)),
    _said("env.disk_full", "host", r"(?:.{0,200}[:\]\)(] ?)?(No space left on device|Disk quota exceeded|There is not enough space on the disk|not enough (free )?disk space)\b.*", yields_to=("test.failed",)),
    sure("env.disk_full", "node", r"^(npm (ERR!|error) (code|nospc)? ?|.*Error: |.*errno: )?(?P<what>(ENOSPC|EDQUOT)(?=$|[:,'])(?!.*(watch|inotify)).*)", yields_to=("test.failed",), unless=r"file watchers"),
    sure("env.disk_full", "tar", r"^tar: (?P<what>.+: Wrote only \d+ of \d+ bytes)"),
    sure("env.disk_full", "pip", r"^.*?(?P<what>\[Errno 28\] No space left on device)", yields_to=("test.failed",)),
    sure("env.disk_full", "sqlite", r"^.*(sqlite3\.OperationalError: |SQLITE_FULL: )?(?P<what>database or disk is full)", yields_to=("test.failed",)),
    sure("env.open_files", "node", r"^.*?(?P<what>(ENOSPC: System limit for number of file watchers|EMFILE: too many open files|ENFILE: ).*)", yields_to=("test.failed",)),
    _said("env.open_files", "host", r"(?:.{0,160}[:\]\)(] ?)?(\[Errno 24\] )?[Tt]oo many open files\b.*", yields_to=("test.failed",)),
    _said("env.read_only", "host", r"(?:.{0,200}[:\]\)(] ?)?(Read-only file system|EROFS: read-only file system)\b.*", yields_to=("test.failed",)),
    sure("env.out_of_memory", "node", r"^(FATAL ERROR: .*(?P<what>JavaScript heap out of memory)|.*ERR_WORKER_OUT_OF_MEMORY|<--- Last few GCs --->)", yields_to=()),
    sure("env.out_of_memory", "java", r"^(Exception in thread .*|.*: |\[ERROR\] |> |Caused by: )?(?P<what>(java\.lang\.OutOfMemoryError|Java heap space|GC overhead limit exceeded|There is insufficient memory for the Java Runtime|Expiring Daemon because JVM heap space is exhausted).*)", yields_to=("test.failed",)),
    sure("env.out_of_memory", "python", r"^(MemoryError(: .*)?|numpy\..*_ArrayMemoryError: .*|.*torch\.(cuda\.)?OutOfMemoryError: .*)$", yields_to=("test.failed",)),
    sure("env.out_of_memory", "go", r"^(fatal error: runtime: (out of memory|cannot allocate memory)|runtime: out of memory|fatal error: failed to reserve page summary memory|.*cannot allocate \d+-byte block).*"),
    sure("env.out_of_memory", "gcc", r"^(.*: )?(?P<what>(out of memory allocating \d+ bytes|virtual memory exhausted: .*|fatal error: Killed signal terminated program \S+|internal compiler error: Killed.*|std::bad_alloc|LLVM ERROR: out of memory.*|memory exhausted))"),
    sure("env.out_of_memory", "php", r"^(PHP )?Fatal error: +(?P<what>(Allowed memory size of \d+ bytes exhausted|Out of memory).*)"),
    sure("env.out_of_memory", "rust", r"^(memory allocation of \d+ bytes failed|.*\(signal: 9, SIGKILL: kill\))"),
    _said("env.out_of_memory", "host", r".{0,160}\b([Cc]annot allocate memory|ENOMEM|Out of memory: Killed process|[Oo]ut of memory$|oom-kill|OOMKilled|\[Errno 12\]).*", yields_to=("test.failed",)),
    sure("env.out_of_memory", "bash", r"^([^\s:]+: )?(line \d+: )?( *\d+ )?(\S*make(\[\d+\])?: \*\*\* \[.*\] )?(?P<what>Killed)( +.*)?$"),
    sure("env.out_of_memory", "kubernetes", r"^.*(exit(ed)? (code|with) 137|ELIFECYCLE.*137|(code|status):? 137\b)", yields_to=("test.failed",)),
    sure("env.resources", "host", r"^.*?(?P<what>(fork: (retry: )?Resource temporarily unavailable|fork: Cannot allocate memory|[Cc]annot fork|can't start new thread|pthread_create failed|unable to create new native thread|failed to create new OS thread|uv_thread_create|OpenBLAS blas_thread_init).*)", yields_to=("test.failed",)),
)

_ACCESS: Final = (
    sure("env.port_in_use", "host", r"^.*?(?P<what>(EADDRINUSE|[Aa]ddress already in use|bind: address already in use|Only one usage of each socket address|port is already allocated|[Pp]ort \d+ (is )?(already )?(in use|allocated|taken|occupied)|[Ss]omething is already running on port|Address in use|BindException).*)", yields_to=("test.failed",)),
    _said("env.permission", "host", r"(?:.{0,200}[:\]\)(] ?)?([Pp]ermission denied|EACCES|EPERM|Operation not permitted|Access is denied)\b(?!.*\((publickey|password)).*", unless=r"^(fatal|remote|git@|ERROR: Permission to)|docker(\.sock| daemon)|[Pp]ermission denied \(publickey", yields_to=("test.failed",)),
    sure("env.permission", "npm", r"^npm (ERR!|error) (code (?P<what>EACCES|EPERM))"),
    sure("env.permission", "java", r"^.*?(?P<what>(java\.nio\.file\.AccessDeniedException|System\.UnauthorizedAccessException).*)", yields_to=("test.failed",)),
    sure("env.permission", "sudo", r"^sudo: (a password is required|a terminal is required|.* is not in the sudoers)"),
    sure("env.permission", "apt", r"^E: (?P<what>(Could not open lock file|Unable to (acquire|lock) the).*)"),
    sure("env.permission", "bash", r"^(?P<what>.*: Permission denied)$", unless=r"^(fatal|remote|git@|ERROR: Permission to)|docker|^ *(FAILED|FAIL|Tests:|not ok)", yields_to=("test.failed",)),
)

_NETWORK: Final = (
    sure("env.dns", "host", r"^.*?(?P<what>(\[Errno -[235]\] (Name or service not known|Temporary failure in name resolution|No address associated)|[Cc]ould ?n[o']t resolve (host|proxy)|getaddrinfo (ENOTFOUND|EAI_AGAIN)|unable to resolve (host )?address|dial tcp: lookup \S+.*(no such host|server misbehaving|i/o timeout|connection refused|Temporary failure)|UnknownHostException|Name or service not known|Temporary failure in name resolution|nodename nor servname provided|No such host is known|failed to lookup address information|dns error|NXDOMAIN|code (ENOTFOUND|EAI_AGAIN)|getaddrinfo: |Could not resolve host).*)", yields_to=("test.failed", "env.service_down")),
    sure("env.network", "docker", r"^.*?(?P<what>toomanyrequests: .+)", yields_to=("test.failed",)),
    sure("env.tls", "host", r"^.*?(?P<what>(CERTIFICATE_VERIFY_FAILED|SSL certificate problem|server certificate verification failed|certificate verify failed|self[- ]signed certificate|unable to (get local issuer|verify the first) certificate|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY)\w*|CERT_HAS_EXPIRED|ERR_TLS_CERT\w*|x509: certificate|PKIX path building failed|SSLHandshakeException|SSLCertVerificationError|certificate has expired|invalid peer certificate|UntrustedRoot|The SSL connection could not be established|InvalidCertificate|SSL peer certificate|The certificate of .{1,80} (is not trusted|has expired|doesn't have a known issuer)|TLS handshake fail|certificate signed by unknown authority).*)", yields_to=("test.failed",)),
    sure("env.service_down", "postgres", r"^.*?(?P<what>(connection to server (at|on socket) .*failed|could not connect to server: |psql: error: |OperationalError.*(could not connect|Connection refused)|PG::ConnectionBad|failed to connect to `?(host=|user=)|ECONNREFUSED \S+:(5432|3306|6379|27017|5672|9092|9200|4222|2379|1433|11211)|(Connection|connection) (to \S+ )?refused.*(postgres|mysql|redis|mongo|rabbit|kafka|elastic)|Error \d+ connecting to \S+:\d+|Can't connect to (local )?MySQL server|Could not connect to Redis|MongoServerSelectionError|MongoNetworkError|ServerSelectionTimeoutError|SQLSTATE\[(HY000|08006)\]|dial tcp \S+:(5432|3306|6379|27017|5672|9092|9200|4222|2379): connect: connection refused|Communications link failure|org\.postgresql\.util\.PSQLException: Connection|redis\.exceptions\.ConnectionError|could not translate host name|The server was not found or was not accessible|nats: no servers available|NoBrokersAvailable|Connection refused \(os error \d+\).*postgres).*)", yields_to=("test.failed",)),
    sure("env.network", "host", r"^.*?(?P<what>(ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ESOCKETTIMEDOUT|EPROTO|ConnectionRefusedError|ConnectionResetError|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ConnectTimeout:|ReadTimeout:|ConnectError|java\.net\.(ConnectException|SocketTimeoutException|NoRouteToHostException)|dial tcp \S+: (connect: (connection refused|network is unreachable|no route to host)|i/o timeout)|<urlopen error|error sending request for url|tcp connect error|network is unreachable|Network is unreachable|No route to host|curl: \((7|28|35|52|56)\)|Failed to connect to \S+ port \d+|Connection (timed out|reset by peer)|connection (refused|timed out|reset by peer)|Connection refused|ERR_SOCKET_TIMEOUT|socket hang up|UND_ERR_CONNECT_TIMEOUT|network timeout at|Failed to fetch https?://|Could not connect to \S+:\d+|ERR_PNPM_META_FETCH_FAIL|TLS handshake timeout|spurious network error|502 Bad Gateway|503 Service Unavailable|504 Gateway Time-?out).*)", yields_to=("test.failed", "env.service_down", "env.dns", "env.tls", "git.", "env.docker_down", "vendor.")),
)

_SERVICES: Final = (
    sure("env.docker_down", "docker", r"^.*?(?P<what>(Cannot connect to the Docker daemon|failed to connect to the docker API|error during connect: |docker daemon is not running|Could not find a valid Docker environment|permission denied while trying to connect to the [Dd]ocker (daemon|API)|Cannot connect to Podman|dial unix \S*docker\S*: |Is the docker daemon running|DockerException: Error while fetching server API version|rootless Docker not found).*)"),
    sure("env.browser_missing", "playwright", r"^.*?(?P<what>(Executable doesn't exist at|Looks like Playwright (Test or Playwright )?was just installed|Could not find (Chrome|Chromium|browser)|Failed to launch (the )?(browser|chrome)|cannot find Chrome binary|No usable sandbox|Host system is missing dependencies to run browsers|The cypress npm package is installed, but the Cypress binary is missing|Cannot start (Chrome|ChromeHeadless|Firefox)|'(chromedriver|geckodriver)' executable needs|No binary for Chrome|Unable to (locate|obtain) (or obtain )?driver|Missing X server or \$DISPLAY|cannot open display|Can not find the binary of Cypress).*)"),
    sure("env.library_missing", "ld.so", r"^.*?(?P<what>(error while loading shared libraries: .+|cannot open shared object file: .+|Library not loaded: .+|Unable to load (shared library|DLL) .+|DllNotFoundException: .+|dyld\[\d+\]: .+|libGL error.*|UnsatisfiedLinkError: .+))", yields_to=()),
    sure("env.runtime_version", "ld.so", r"^.*?(?P<what>(version `(GLIBC|GLIBCXX|CXXABI)_[\d.]+' not found|cannot execute binary file(: Exec format error)?|[Ee]xec format error|UnsupportedClassVersionError|Unsupported class file major version|has been compiled by a more recent version of the Java|wrong ELF class|Bad CPU type in executable|rosetta error|Illegal instruction).*)"),
    sure("env.runtime_version", "dotnet", r"^.*?(?P<what>(error NETSDK1045|You must install or update \.NET to run|The framework '.+', version '.+' .*was not found|A compatible (installed )?\.NET (Core )?SDK .*was not found|Requested SDK version: ).*)"),
    sure("env.runtime_version", "python", r"^.*?(?P<what>(requires Python '?[<>=~!]*\d|This package requires Python|Python \d+\.\d+ or (later|newer|higher) (is )?required|RuntimeError: Python version|This version of python is not supported).*)", yields_to=("deps.uv_conflict", "deps.poetry_conflict")),
    sure("env.runtime_version", "node", r"^.*?(?P<what>(You are using Node\.js \S+\. .*(requires|required)|Node\.js v?ersion .* is required|The engine \"node\" is incompatible|Unsupported engine for|requires? (a )?Node(\.js)? (version )?(>=|v?\d+)|ERR_UNKNOWN_BUILTIN_MODULE|Error: error:0308010C:digital envelope routines::unsupported|was compiled against a different Node\.js version|NODE_MODULE_VERSION \d+).*)"),
    sure("env.variable_missing", "bash", r"^\S+: (line )?(\d+: )?(?P<what>\w+: (unbound variable|parameter (null or )?not set))"),
    sure("env.variable_missing", "bash", r"^(?:\S*bash|\S*sh|[^\s:]+\.sh): (line )?(?:\d+: )?(?P<what>[A-Z][A-Z0-9_]{2,}: .*(must be|is (required|not set)|not set|required|set ).*)"),
    sure("env.variable_missing", "python", r"^(E +)?KeyError: (?P<what>'[A-Z][A-Z0-9_]*_[A-Z0-9_]*'|'(HOME|PATH|USER|TOKEN|PORT)')$", also=r"os\.environ|<frozen os>|/os\.py", yields_to=("test.failed",)),
    sure("env.variable_missing", "host", r"^.*?(?P<what>(([Mm]issing|[Uu]nset|[Uu]ndefined) (required )?(environment|env) variables?|([Ee]nvironment|[Ee]nv) variable \S+ (is )?(not (set|defined|found)|missing|required|must be set)|environment variable not found|[Pp]lease set (the )?[A-Z][A-Z0-9_]{3,}|[A-Z][A-Z0-9_]{4,} (environment variable )?(is not set|must be set|is required|not defined in environment)|required environment variable|The .*ConnectionString.* has not been initialized|ImproperlyConfigured: (Set the|The SECRET_KEY)|Unable to locate credentials|Could not load the default credentials|No value for required variable|Input required and not supplied).*)", yields_to=("test.failed", "vendor.auth", "env.command_missing")),
)

_FILES: Final = (
    sure("env.file_missing", "python", r"^\S*(python|pypy)\S*: (?P<what>can't open file .+)"),
    sure("env.file_missing", "mypy", r"^(mypy: can't read file '(?P<note>.+)': .+|(?P<what>\S+): error: Cannot read file: .+)"),
    sure("env.file_missing", "phpunit", r"^(?P<what>Cannot open file \".+\")\.$"),
    sure("env.file_missing", "bash", r"^(\S+: )?(line \d+: |\d+: )?(cd|source|\.|pushd): (can't cd to )?(?P<what>.+?)(: No such file or directory|: not found|: can't open)?$", also=r"No such file|can't cd|not found|can't open"),
    sure("env.file_missing", "host", r"^(cat|cp|mv|ls|rm|head|tail|grep|sed|awk|chmod|stat|diff|install|ln|tar|unzip|wc|sort|jq|du|bash|sh|dash|node|ruby|php|perl|find|touch|mkdir|tee|cmp|sha256sum|openssl|rsync|gzip|xxd|file|patch|psql|sqlite3)( \([\w ]+\))?: (?P<what>.+: (No such file or directory|Cannot open|not found|can't open.*|No such file))$", yields_to=("env.command_missing",)),
    sure("env.file_missing", "gcc", r"^(gcc|g\+\+|cc|c\+\+|clang|clang\+\+|cc1|cc1plus|rustc|javac|ld|ar)(: |-\d+: )(fatal )?error: (?P<what>.+: No such file or directory|no such file or directory: .+|no input files|file not found: .+)", yields_to=()),
    sure("env.file_missing", "rustc", r"^error: (?P<what>couldn't read `?.+`?: No such file or directory.*)"),
    sure("env.file_missing", "go", r"^(no required module provides package .*\.go|go: |stat |named files must|open )?(?P<what>.*\.go: no such file or directory)|^(?P<note>no Go files in .+|pattern \S+: (no matching.+|lstat .+))|^stat (?P<name>.+: (directory|no such file).*)"),
    sure("env.file_missing", "java", r"^(Error: (?P<what>(Could not find or load main class|Unable to access jarfile) .+))|^error: file not found: .+"),
    sure("env.file_missing", "dotnet", r"^.*?(?P<what>(MSBUILD : error MSB10(03|09)|Couldn't find a project to run|MSB1003: Specify a project or solution file).*)"),
    sure("env.file_missing", "php", r"^Could not open input file: (?P<what>.+)"),
    sure("env.file_missing", "docker", r"^(unable to prepare context: |failed to read dockerfile: |no configuration file provided: |ERROR: .*failed to read dockerfile)(?P<what>.*)"),
    sure("env.file_missing", "cargo", r"^error: (?P<what>manifest path `.+` does not exist)"),
    likely("env.file_missing", "python", r"^FileNotFoundError: (\[Errno 2\] )?(?P<what>No such file or directory: .+)"),
    sure("env.file_missing", "pip", r"^ERROR: .*\[Errno 2\] (?P<what>No such file or directory: .+)"),
    likely("env.file_missing", "node", r"^(\[?Error: |.*Error: )(?P<what>ENOENT: no such file or directory.+)"),
    likely("env.file_missing", "ruby", r"^.*?(?P<what>No such file or directory @ rb_sysopen - .+)"),
    likely("env.file_missing", "java", r"^.*?(?P<what>java\.(io\.FileNotFoundException|nio\.file\.NoSuchFileException): .+)"),
    likely("env.file_missing", "host", r"^[\w./-]+: (?P<what>.+: No such file or directory)$"),
)

RULES: Final = (*_COMMANDS, *_SPACE, *_ACCESS, *_NETWORK, *_SERVICES, *_FILES)
