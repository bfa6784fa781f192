-- What is remembered of each repo: one row per finished task (from the log) or per text that people have written (from the
-- catalogue), and the words of each for a ranking by BM25. A part of the read model: every row can be dropped and comes back.
create table penstock.memory (
    memory text primary key,         -- the task's id, or one of its own
    repo text not null,
    task text,                       -- null: written by people
    kind text not null,              -- success failure review decision lesson
    title text not null,
    asked text not null,             -- of the task, beyond its title
    happened text not null,          -- how it went, or the text that people have written
    outcome text,                    -- of the task: succeeded unverified no_change failed cancelled
    attempts integer,
    turns bigint,
    url text,                        -- of the pull request
    score double precision,
    error_class text,                -- of the last failure
    files text[] not null,           -- changed
    born_at timestamptz not null,    -- the end of the task, or when the text was last changed
    pinned boolean not null,
    corrected boolean not null,      -- the text is not as the task has left it
    forgotten boolean not null,      -- then there is no text any more
    written_by text not null,        -- empty: nobody but the task
    changed_by text not null,
    recalls bigint not null,         -- how many tasks were told
    recalled_at timestamptz,         -- when the last one was
    number bigint not null unique,   -- sequence of the task's end in the log; of a text, its revision, negative
    length integer not null          -- words
);
create index memory_by_repo on penstock.memory (repo, born_at desc, memory desc) where not forgotten;

-- The two sources as they were last heard, each written by its own reader; `memory` is made of both.
create table penstock.memory_of_task (
    memory text primary key,
    repo text not null,
    task text not null,
    kind text not null,
    title text not null,
    asked text not null,
    happened text not null,
    outcome text,
    attempts integer,
    turns bigint,
    url text,
    score double precision,
    error_class text,
    files text[] not null,
    born_at timestamptz not null,
    number bigint not null
);
create table penstock.memory_note (
    memory text primary key,
    repo text not null,
    of_task boolean not null,
    kind text,
    title text,
    happened text,
    pinned boolean not null,
    forgotten boolean not null,
    written_by text not null,
    set_by text not null,
    set_at timestamptz not null,
    number bigint not null           -- its revision, negative
);
-- How far the reader of the notes has come; it moves with them.
create table penstock.memory_position (seq bigint not null);

create table penstock.memory_recall (
    memory text not null,
    task text not null,
    at timestamptz not null,
    primary key (memory, task)
);

create table penstock.memory_word (
    repo text not null,
    word text not null,
    number bigint not null,
    times real not null,             -- a word of the title counts more than once
    length integer not null,         -- of the memory, in words
    primary key (repo, word, number) include (times, length)
);
create index memory_word_of on penstock.memory_word (number);

-- Per repo: how many memories, how many words in all of them.
create table penstock.memory_total (
    repo text primary key,
    memories bigint not null,
    words bigint not null
);

-- Per repo: in how many memories a word stands.
create table penstock.memory_common (
    repo text not null,
    word text not null,
    memories bigint not null,
    primary key (repo, word)
);

-- Text with identifiers taken apart: parseHTTPConfig and parse_http_config are both parse http config, and parsehttpconfig.
create function penstock.memory_split(said text) returns text language sql immutable strict parallel safe as $$
    select regexp_replace(
               regexp_replace(
                   regexp_replace(said, '([[:lower:]]|[[:digit:]])([[:upper:]])', '\1 \2', 'g'),
                   '([[:upper:]])([[:upper:]][[:lower:]])', '\1 \2', 'g'),
               '[^[:alnum:]]+', ' ', 'g')
           || ' ' || coalesce((
               select string_agg(replace(found[1], '_', ''), ' ')
               from regexp_matches(said, '[[:alnum:]]+(?:_[[:alnum:]]+)+|[[:alpha:]][[:alnum:]]*[[:lower:]][[:upper:]][[:alnum:]]*', 'g') as found
           ), '')
$$;

-- The words of a text, stemmed, without those that say nothing, and how often each stands there.
create function penstock.memory_words(said text) returns table (word text, times integer)
language sql immutable strict parallel safe as $$
    select lexeme, cardinality(positions)
    from unnest(to_tsvector('pg_catalog.english', penstock.memory_split(said)))
    where length(lexeme) between 2 and 40
$$;

-- Make `memory` and the words of these memories anew from what the sources say. The caller holds the lock of the memories.
create function penstock.memory_settle(ids text[]) returns void language plpgsql as $$
begin
    with gone as (
        delete from penstock.memory where memory = any(ids) returning repo, number, length, forgotten
    ), words_gone as (
        delete from penstock.memory_word using gone where memory_word.number = gone.number
        returning memory_word.repo, memory_word.word
    ), rarer as (
        update penstock.memory_common set memories = memory_common.memories - less.memories
        from (select repo, word, count(*) as memories from words_gone group by repo, word) as less
        where memory_common.repo = less.repo and memory_common.word = less.word
    )
    update penstock.memory_total set memories = memory_total.memories - less.memories, words = memory_total.words - less.words
    from (select repo, count(*) as memories, sum(length) as words from gone where not forgotten group by repo) as less
    where memory_total.repo = less.repo;

    insert into penstock.memory
    select memory, coalesce(n.repo, t.repo), t.task, coalesce(n.kind, t.kind, 'lesson'),
           case when coalesce(n.forgotten, false) then '' else coalesce(n.title, t.title, '') end,
           case when coalesce(n.forgotten, false) then '' else coalesce(t.asked, '') end,
           case when coalesce(n.forgotten, false) then '' else coalesce(n.happened, t.happened, '') end,
           t.outcome, t.attempts, t.turns, t.url, t.score, t.error_class,
           case when coalesce(n.forgotten, false) then '{}' else coalesce(t.files, '{}') end,
           case when n.title is null and n.happened is null then coalesce(t.born_at, n.set_at) else n.set_at end,
           coalesce(n.pinned, false), coalesce(n.title, n.happened, n.kind) is not null and t.memory is not null,
           coalesce(n.forgotten, false), coalesce(n.written_by, ''), coalesce(n.set_by, ''),
           (select count(*) from penstock.memory_recall as r where r.memory = ids.memory),
           (select max(at) from penstock.memory_recall as r where r.memory = ids.memory),
           coalesce(t.number, n.number), 0
    from unnest(ids) as ids (memory)
    left join penstock.memory_of_task as t using (memory)
    left join penstock.memory_note as n using (memory)
    -- What corrects a task's memory is no memory without it.
    where t.memory is not null or not n.of_task;

    with words as (
        select m.repo, m.number, w.word, w.times, (sum(w.times) over (partition by m.number))::integer as length
        from penstock.memory as m
        cross join lateral penstock.memory_words(
            m.title || ' ' || m.title || ' ' || m.asked || ' ' || m.happened || ' ' || array_to_string(m.files, ' ') || ' '
            || coalesce(m.error_class, '')
        ) as w
        where m.memory = any(ids) and not m.forgotten
    ), written as (
        insert into penstock.memory_word (repo, word, number, times, length)
        select repo, word, number, times, length from words
    ), commoner as (
        insert into penstock.memory_common as common (repo, word, memories)
        select repo, word, count(*) from words group by repo, word
        on conflict (repo, word) do update set memories = common.memories + excluded.memories
    )
    update penstock.memory set length = words.length from words where memory.number = words.number;

    insert into penstock.memory_total as total (repo, memories, words)
    select repo, count(*), sum(length) from penstock.memory where memory = any(ids) and not forgotten group by repo
    on conflict (repo) do update
    set memories = total.memories + excluded.memories, words = total.words + excluded.words;
    delete from penstock.memory_total where memories = 0;
    delete from penstock.memory_common where memories = 0;
end
$$;

-- The memories of a repo that are most like a text, by BM25 (k1 1.2, b 0.75). The commonest words say least and cost most:
-- the rarest three are looked up, and more of them up to 4,000 places in all, however large the repo's memory is. `similarity`:
-- the share of these words, each by its weight, that the memory knows. A memory of the age of the half-life counts half (0: age
-- does not count); what a task has left is passed over when it was not recalled for so many days and is not pinned (0: never).
create function penstock.memory_search(
    of_repo text, said text, at_time timestamptz, half_life_days double precision, archive_after_days double precision,
    most integer
) returns table (memory text, score double precision, similarity double precision)
language sql stable as $$
    with total as materialized (
        select memories::double precision as memories, words::double precision / greatest(memories, 1) as average
        from penstock.memory_total where repo = of_repo
    ), asked as materialized (
        select word, coalesce(memories, 0) as known,
               sum(coalesce(memories, 0)) over rarest as places, row_number() over rarest as place
        from penstock.memory_words(left(said, 20000))
        left join lateral (
            select memories from penstock.memory_common as common
            where common.repo = of_repo and common.word = memory_words.word offset 0
        ) as common on true
        window rarest as (order by coalesce(memories, 0), word)
    ), weight as materialized (
        select asked.word, ln(1 + (total.memories - asked.known + 0.5::float8) / (asked.known + 0.5::float8)) as idf
        from asked cross join total
        where asked.places <= 4000 or asked.place <= 3 + (select count(*) from asked where known = 0)
    ), scored as (
        select w.number,
               sum(weight.idf * w.times * 2.2::float8
                   / (w.times + 1.2::float8 * (0.25::float8 + 0.75::float8 * w.length / total.average))) as score,
               sum(weight.idf) as known
        from weight cross join total cross join lateral (
            -- By the index, one word after the other, whatever the statistics say (offset 0: not to be taken apart).
            select * from penstock.memory_word as known where known.repo = of_repo and known.word = weight.word offset 0
        ) as w
        group by w.number
        order by 2 desc limit greatest(most, 10) * 3
    )
    select m.memory,
           scored.score * case when half_life_days > 0 and not m.pinned then
               0.5::float8 ^ (greatest(extract(epoch from at_time - m.born_at), 0) / 86400 / half_life_days) else 1 end,
           scored.known / (select sum(idf) from weight)
    from scored join penstock.memory as m on m.number = scored.number
    where archive_after_days <= 0 or m.pinned or m.task is null
          or coalesce(m.recalled_at, m.born_at) >= at_time - make_interval(secs => archive_after_days * 86400)
    order by 2 desc, m.number
    limit most
$$;
