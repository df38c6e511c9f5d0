-- PostgreSQL leaves room for changes on its pages; here they are made in place.

select 1;
