-- Tokens for agents: bound to one task, of no use for anything else.
alter table penstock_api.token add column task text;
alter table penstock_api.token drop constraint token_role_check;
alter table penstock_api.token add constraint token_role_check check (role in ('viewer', 'operator', 'admin', 'agent'));
alter table penstock_api.token add constraint token_task_check check ((role = 'agent') = (task is not null));
