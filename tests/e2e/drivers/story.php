<?php
// A session of PHP's PDO: prints what it sees. ../test_drivers.py compares that with a direct connection.

$table = $argv[1];

function connected(): PDO {
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_NUM];
    return new PDO("pgsql:", getenv("PGUSER"), getenv("PGPASSWORD"), $options);
}

function value(PDO $db, string $sql, array $bound = []) {
    $statement = $db->prepare($sql);
    $statement->execute($bound);
    return $statement->fetchColumn();
}

function tell(string $what, $seen): void { echo "$what: $seen\n"; }

function failing(PDO $db, string $sql): void {
    try {
        tell("no error", value($db, $sql));
    } catch (PDOException $error) {
        tell("error", $error->getCode());
    }
}

function insert(PDO $db, int $from, int $to): void {
    global $table;
    $statement = $db->prepare("INSERT INTO $table VALUES (:id, :name)");
    for ($id = $from; $id <= $to; ++$id) $statement->execute(["id" => $id, "name" => "žlutý $id"]);
}

function prepared(PDO $db): void {
    $twice = $db->prepare("SELECT ?::int * 2");
    $joined = $db->prepare("SELECT ?::text || ?::text");
    $all = "";
    for ($number = 0; $number < 20; ++$number) {
        $twice->execute([$number]);
        $joined->execute([$all, $twice->fetchColumn()]);
        $all = $joined->fetchColumn();
    }
    tell("prepared", $all);
}

function transactions(PDO $db): void {
    global $table;
    $count = "SELECT count(*) FROM $table";
    $db->beginTransaction();
    insert($db, 1, 10);
    $db->commit();
    tell("committed", value($db, $count));
    $db->beginTransaction();
    insert($db, 11, 20);
    $db->rollBack();
    tell("rolled back", value($db, $count));
    $db->beginTransaction();
    insert($db, 21, 22);
    failing($db, "SELECT 1/0");
    failing($db, "SELECT 1");
    $db->rollBack();
    $db->beginTransaction();
    prepared($db);
    insert($db, 31, 31);
    $db->exec("SAVEPOINT here");
    failing($db, "SELECT * FROM nowhere");
    $db->exec("ROLLBACK TO here");
    insert($db, 32, 40);
    $db->commit();
    tell("savepoint", value($db, $count));
}

function copied(PDO $db): void {
    global $table;
    $db->pgsqlCopyFromArray($table, ["101\tone\n", "102\t\\N\n"]);
    tell("copied out", implode("|", array_filter(
        array_map("trim", $db->pgsqlCopyToArray($table)), fn($row) => str_starts_with($row, "10"))));
    try {
        $db->pgsqlCopyFromArray($table, ["no number\n"]);
    } catch (PDOException $error) {
        tell("copy failed", $error->getCode());
    }
}

$db = connected();
$db->exec("SET work_mem = '7MB'");
$db->exec("CREATE TABLE $table (id int PRIMARY KEY, name text)");
prepared($db);
transactions($db);
copied($db);
$sum = 0;
for ($number = 1; $number <= 300; ++$number) $sum += value($db, "SELECT ?::int + $number", [$number]);
tell("many statements", $sum);
failing($db, "SELECT 1/0");
tell("setting", value($db, "SHOW work_mem"));
$db = null;

$db = connected();
prepared($db);
tell("setting", value($db, "SHOW work_mem"));
tell("in the end", value($db, "SELECT count(*) FROM $table"));
$db->exec("DROP TABLE $table");
