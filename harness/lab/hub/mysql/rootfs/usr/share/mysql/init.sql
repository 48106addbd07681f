FLUSH PRIVILEGES;
CREATE OR REPLACE USER root@'%' IDENTIFIED BY 'root';
GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> '%';
DELETE FROM mysql.proxies_priv;
