"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _key(name: str, target: str, table: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), sa.ForeignKey(f"{target}.id", name=f"fk_{table}_{name}"), nullable=nullable)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("guidelines", sa.Text(), nullable=False),
        sa.Column("overlap_share", sa.Double(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("gold_share", sa.Double(), nullable=False),
        sa.Column("pause_below", sa.Double(), nullable=False),
        sa.Column("qualification_pass", sa.Double(), nullable=False),
        sa.Column("minutes_to_return", sa.Double(), nullable=False),
        sa.Column("wage", sa.Double(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("paused", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("name", name="uq_people_name"),
        sa.UniqueConstraint("token_hash", name="uq_people_token_hash"),
    )
    op.create_table(
        "members",
        _key("project_id", "projects", "members"),
        _key("person_id", "people", "members"),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("paused", sa.Text(), nullable=True),
        sa.Column("num_given", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("gold_since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "person_id", name="pk_members"),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), nullable=False),
        _key("project_id", "projects", "items"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("num_responses", sa.Integer(), nullable=False),
        sa.Column("lengths", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("num_answers", sa.Integer(), nullable=False),
        sa.Column("dispute", sa.Double(), nullable=True),
        sa.Column("gold", sa.Text(), nullable=True),
        sa.Column("group", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.UniqueConstraint("project_id", "hash", name="uq_items_project_id_hash"),
        sa.UniqueConstraint("project_id", "position", name="uq_items_project_id_position"),
    )
    _partial("ix_items_free", "items", ["project_id", "position", "missing"], "missing > 0 AND role = 'work'")
    _partial("ix_items_known", "items", ["project_id", "role", "position"], "role <> 'work'")
    _partial("ix_items_disputed", "items", ["project_id", "dispute"], "dispute > 0")
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer(), nullable=False),
        _key("project_id", "projects", "tasks"),
        _key("item_id", "items", "tasks"),
        _key("person_id", "people", "tasks"),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.Column("draft", sa.Text(), nullable=True),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("item_id", "person_id", name="uq_tasks_item_id_person_id"),
    )
    op.create_index("ix_tasks_person", "tasks", ["person_id", "project_id", "state", "touched_at"])
    _partial("ix_tasks_open", "tasks", ["project_id", "touched_at"], "state = 'open'")
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer(), nullable=False),
        _key("task_id", "tasks", "answers"),
        _key("project_id", "projects", "answers"),
        _key("item_id", "items", "answers"),
        _key("person_id", "people", "answers"),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("gold_score", sa.Double(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.Column("num_revisions", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_answers"),
        sa.UniqueConstraint("task_id", name="uq_answers_task_id"),
    )
    op.create_index("ix_answers_item_id", "answers", ["item_id"])
    op.create_index("ix_answers_person", "answers", ["person_id", "project_id", "role", "saved_at"])
    op.create_index("ix_answers_project", "answers", ["project_id", "role", "item_id"])
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer(), nullable=False),
        _key("project_id", "projects", "verdicts"),
        _key("item_id", "items", "verdicts"),
        _key("person_id", "people", "verdicts"),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.Column("num_revisions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdicts"),
        sa.UniqueConstraint("item_id", name="uq_verdicts_item_id"),
    )
    op.create_index("ix_verdicts_project_id", "verdicts", ["project_id"])
    op.create_table(
        "keys",
        _key("person_id", "people", "keys"),
        sa.Column("key", sa.String(200), nullable=False),
        _key("item_id", "items", "keys"),
        sa.Column("answer_id", sa.Integer(), nullable=True),
        sa.Column("verdict_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "key", name="pk_keys"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        _key("person_id", "people", "events", nullable=True),
        _key("project_id", "projects", "events", nullable=True),
        _key("item_id", "items", "events", nullable=True),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    _partial("ix_events_item", "events", ["item_id"], "item_id IS NOT NULL")
    op.create_index("ix_events_project", "events", ["project_id", "id"])
